#include "kernels/product_answers.hpp"

#include "core/matrix.hpp"
#include "kernels/answer_stream.hpp"

namespace talaria::kernels {

using namespace answers;

namespace {

u64 answer_products(const ProductKernels& set) {
  constexpr std::size_t rows = 3;
  Fingerprint print;
  Stream stream;
  const PackedWeights w = weights(stream);
  for (const u64 prime : kPrimes) {
    const Modulus q(prime);
    const AlignedBuffer<u8> c = words(residues(rows * w.d_in(), prime, stream), q);
    AlignedBuffer<u8> y(rows * w.d_out() * static_cast<std::size_t>(q.word_bytes));
    set.residue_product(c.data(), rows, w, q, y.data(), 0, w.panels());
    print.add(y.data(), y.size());
  }
  const AlignedBuffer<float> c = reals(rows * w.d_in(), stream);
  AlignedBuffer<float> y(rows * w.d_out());
  set.float_product(c.data(), rows, w, y.data(), 0, w.panels());
  print.add(y.data(), y.size());
  return print.value();
}

u64 answer_plain_products(const ProductKernels& set) {
  Fingerprint print;
  Stream stream;
  const PackedWeights w = weights(stream);
  for (const std::size_t rows : {std::size_t{1}, std::size_t{4}, std::size_t{14}}) {
    AlignedBuffer<i8> x(rows * w.d_in());
    for (i8& v : x) v = static_cast<i8>(stream.next());
    AlignedBuffer<i32> y(rows * w.d_out());
    set.plain_product(x.data(), rows, w, y.data(), 0, w.panels());
    print.add(y.data(), y.size());
  }
  return print.value();
}

struct ProductQuestion {
  const char* kernels;
  u64 (*answer)(const ProductKernels&);
  u64 reference; ///< what the reference must say
};

constexpr ProductQuestion kProductQuestions[] = {
    {"products with weights", answer_products, 0x850cdf9249d0db7b},
    {"plain products", answer_plain_products, 0xa9777e4e01cf1f9f},
};

} // namespace

const char* first_wrong_product_kernel(const ProductKernels& set, const ProductKernels& reference) {
  for (const ProductQuestion& question : kProductQuestions) {
    if (question.answer(reference) != question.reference) return question.kernels;
    if (&set != &reference && question.answer(set) != question.reference) return question.kernels;
  }
  return nullptr;
}

} // namespace talaria::kernels
