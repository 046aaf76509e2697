#pragma once

/// Tensors made again, of other tensors.

#include <string>
#include <unordered_map>
#include <vector>

#include "tenon/ir/visit.h"
#include "tenon/te/tensor.h"

namespace tenon::te {

/// What stands for an element of another tensor.
using ReadFunction = std::function<Expr(const Tensor&, const std::vector<Expr>&)>;
/// From tensor to tensor, keyed by identity.
using TensorMap = std::unordered_map<const BufferNode*, Tensor>;
/// The results of scans that were made again, one for each state.
using ScanMap = std::unordered_map<const Scan*, std::vector<Tensor>>;

/// How a tensor is made again.
struct Renewal {
  ReadFunction read;
  /// What stands for a whole tensor: first values and updates of scatters, the init of scans.
  std::function<Tensor(const Tensor&)> whole;
  VarMap variables = {};     ///< other sizes, or other steps of the scans around
  std::string name = "";     ///< empty: as it was
  ScanMap* scans = nullptr;  ///< those made before, of which a tensor may be another result
  bool keeps_rules = false;  ///< within a scan: gradients written by hand
};

/// The element of a `compute` at `indices`, with every read of a tensor replaced by `read`.
Expr element_of(const Tensor& t, const std::vector<Expr>& indices, const ReadFunction& read);

/// A tensor that computes what `t` does, of other tensors; of a scan the whole scan with it. A
/// gradient written by hand does not come along.
Tensor renew(const Tensor& t, const Renewal& renewal);

/// Likewise, with those in `replaced` in place of the tensors that it reads, and with its gradient.
Tensor renew(const Tensor& t, const TensorMap& replaced, const VarMap& variables = {},
             const std::string& name = "", ScanMap* scans = nullptr);

/// Every tensor that `roots` are computed from, and themselves, producers first. What is in `known`
/// is not looked into and not listed. `with_rules`: inputs of gradients written by hand count as
/// operands.
std::vector<Tensor> in_order(const std::vector<Tensor>& roots, const TensorMap& known = {},
                             bool with_rules = false);

/// `roots` with those in `replaced` in place of the tensors that they are computed from, however
/// far behind. What depends on none of them is the same.
std::vector<Tensor> replace(const std::vector<Tensor>& roots, TensorMap replaced);

/// The tensors outside of a scan that the gradients written by hand of its body's tensors name,
/// without its operands.
std::vector<Tensor> rule_inputs_of(const Scan& scan);

}  // namespace tenon::te
