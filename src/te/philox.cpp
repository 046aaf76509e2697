#include "tenon/te/philox.h"

#include "tenon/ir/builder.h"

namespace tenon::te {
namespace {

constexpr DType kWord = DType::uint(32), kWord64 = DType::uint(64);
constexpr int kRounds = 10;
constexpr std::int64_t kMultipliers[] = {0xD2511F53, 0xCD9E8D57};
constexpr std::int64_t kWeyl[] = {0x9E3779B9, 0xBB67AE85};

struct Product {
  Expr high, low;
};

Product multiply(const Expr& word, std::int64_t factor) {
  const Expr wide = cast(kWord64, word) * int_imm(kWord64, factor);
  return {cast(kWord, binary(BinaryOp::kShr, wide, int_imm(kWord64, 32))), cast(kWord, wide)};
}

Expr exclusive_or(const Expr& a, const Expr& b, const Expr& c) {
  return binary(BinaryOp::kBitXor, binary(BinaryOp::kBitXor, a, b), c);
}

}  // namespace

std::array<Expr, 4> philox4x32(const std::array<Expr, 4>& counter, const std::array<Expr, 2>& key) {
  std::array<Expr, 4> c = counter;
  std::array<Expr, 2> k = key;
  for (int round = 0; round < kRounds; ++round) {
    if (round > 0) {
      for (std::size_t i = 0; i < 2; ++i) k[i] = k[i] + int_imm(kWord, kWeyl[i]);
    }
    const Product first = multiply(c[0], kMultipliers[0]);
    const Product second = multiply(c[2], kMultipliers[1]);
    c = {exclusive_or(second.high, c[1], k[0]), second.low, exclusive_or(first.high, c[3], k[1]),
         first.low};
  }
  return c;
}

}  // namespace tenon::te
