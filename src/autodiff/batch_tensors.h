#pragma once

/// Tensors with a leading axis more.

#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tenon/te/renew.h"

namespace tenon::autodiff {

/// Makes tensors again for a batch: each that depends on a batched one gets a leading axis, and
/// reads of batched tensors follow it.
class BatchTensors {
 public:
  /// `batched`: from tensors to their forms with a leading axis of `extent`. A step variable
  /// `step`, where given, takes the index of that axis as its value: what a scan's step computes,
  /// for all its steps.
  BatchTensors(te::TensorMap batched, Expr extent, Expr step = nullptr)
      : batched_(std::move(batched)), extent_(std::move(extent)), step_(std::move(step)) {}

  /// Makes what `outputs` need.
  void run(const std::vector<te::Tensor>& outputs);

  /// With the leading axis; null when nothing batched reaches it.
  te::Tensor of(const te::Tensor& t) const;
  /// Likewise, repeated when nothing batched reaches it.
  te::Tensor of_any(const te::Tensor& t) const;
  /// The element of a tensor that was run, at a place in the batch (not looked at by those that
  /// nothing batched reaches).
  Expr read_at(const Expr& batch, const te::Tensor& t, const std::vector<Expr>& indices) const;

 private:
  /// A scan made again.
  struct BatchedScan {
    std::vector<te::Tensor> results;  ///< [steps, batch, ...], or [steps, ...]
    std::vector<bool> has_batch;
  };

  te::Tensor repeated(const te::Tensor& t) const;
  /// What stands for a tensor that nothing batched reaches: itself, but within a scan made again.
  te::Tensor plain(const te::Tensor& t) const;
  std::vector<Expr> with_batch(const std::vector<Expr>& shape) const;
  bool uses_step(const te::TensorNode& t) const;
  bool is_reached(const te::Tensor& t) const;
  bool is_changed(const te::Tensor& t) const;
  te::Tensor batched(const te::Tensor& t) const;
  te::Tensor batched_scatter(const te::Tensor& t) const;
  te::Tensor batched_compute(const te::Tensor& t) const;
  BatchedScan batched_scan(const te::Scan& scan) const;
  /// The states of the scan that a batched tensor reaches.
  std::vector<bool> batched_states(const te::Scan& scan) const;
  std::shared_ptr<const te::VjpRule> batched_rule(const te::Tensor& t) const;
  te::Tensor summed(const te::Tensor& t) const;
  Expr reads_at(const Expr& batch, const Expr& body, const VarMap& axes) const;

  te::TensorMap batched_;
  te::TensorMap plain_;  ///< within a scan made again: what nothing batched reaches
  VarMap variables_;     ///< within a scan made again: its step
  std::unordered_map<const te::Scan*, BatchedScan> scans_;
  std::vector<te::Tensor> kept_;  ///< keys of the maps
  Expr extent_, step_;
};

}  // namespace tenon::autodiff
