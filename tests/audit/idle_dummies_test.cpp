// What dummy rounds do, by a clock that counts work instead of time: every run is the same.
#include <atomic>
#include <boost/test/unit_test.hpp>

#include "audit/round_clock.hpp"
#include "kernels/kernel_set.hpp"
#include "tests/audit/seeded_bug.hpp"
#include "tests/support/models.hpp"

namespace talaria::audit {

namespace {

std::atomic<i64> work{0};

void counting_attend_scores(const float* const* q, const std::size_t* counts, std::size_t queries,
                            const float* k, std::size_t head_dim, float scale, float* scores,
                            std::size_t stride) {
  for (std::size_t i = 0; i < queries; ++i) work += static_cast<i64>(counts[i] * head_dim);
  kernels::select_kernels().attend_scores(q, counts, queries, k, head_dim, scale, scores, stride);
}
void counting_rms_norm(const float* x, const float* gain, float* out, std::size_t n, float eps) {
  work += static_cast<i64>(n);
  kernels::select_kernels().rms_norm(x, gain, out, n, eps);
}
void counting_silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  work += static_cast<i64>(n);
  kernels::select_kernels().silu_mul(gate, up, out, n);
}
void counting_rope(float* x, const float* cos, const float* sin, std::size_t n) {
  work += static_cast<i64>(n);
  kernels::select_kernels().rope(x, cos, sin, n);
}
u64 counting_quantize_row(const float* x, float scale, i32* out, std::size_t n) {
  work += static_cast<i64>(n);
  return kernels::select_kernels().quantize_row(x, scale, out, n);
}

/// The kernels in use count what they do for as long as this lives.
class CountedWork {
public:
  CountedWork() : before_(kernels::active_kernels()) {
    static kernels::KernelSet counting;
    counting = before_;
    counting.attend_scores = counting_attend_scores;
    counting.rms_norm = counting_rms_norm;
    counting.silu_mul = counting_silu_mul;
    counting.rope = counting_rope;
    counting.quantize_row = counting_quantize_row;
    kernels::set_active_kernels(counting);
  }
  ~CountedWork() { kernels::set_active_kernels(before_); }
  CountedWork(const CountedWork&) = delete;
  CountedWork& operator=(const CountedWork&) = delete;

private:
  const kernels::KernelSet& before_;
};

} // namespace

BOOST_AUTO_TEST_CASE(dummy_rounds_are_told_by_their_work_if_and_only_if_they_skip_attention) {
  const bool seeded = tests::kCaughtBy != nullptr;
  for (const char* model : {"qwen2", "mistral"}) { // mistral: with a window
    pipeline::EngineOptions engine;
    engine.model_dir = tests::model_folder(model);
    engine.threads = 2;
    engine.batch.max_rows = 16;
    engine.batch.prefill_chunk = 16;
    RoundClockOptions options;
    options.answers = 16;
    options.prompt = 37;
    options.clock = [] { return work.load(); };
    const CountedWork counted;
    SilentProgress progress;
    const auto results = round_clock(engine, {{4, 16}, 8, {}}, options, progress);
    BOOST_TEST_REQUIRE(results.size() == 2U);
    for (const AttackResult& result : results) {
      BOOST_TEST_CONTEXT(model << ", " << result.where) {
        BOOST_TEST(result.attack == (seeded ? tests::kCaughtBy : result.attack));
        BOOST_TEST(result.rows == 32U);
        // At every place of an answer a dummy round does exactly what another does.
        BOOST_TEST(result.top1 == (seeded ? result.rows : result.rows / 2));
      }
    }
  }
}

} // namespace talaria::audit
