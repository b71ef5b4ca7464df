#include <boost/test/unit_test.hpp>
#include <csignal>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <memory>

#include "audit/attacks.hpp"
#include "audit/recording.hpp"
#include "audit/scoring.hpp"
#include "core/random.hpp"
#include "model/weights/synthetic.hpp"
#include "remo/public/public_matrix.hpp"
#include "tests/support/models.hpp"

namespace talaria::audit {

namespace {

/// One page of the table is open at a time; touching another is a fault, which is written down, as
/// a hypervisor does it with nested page tables. The engine's one thread for embeddings faults
/// here; only this handler and drain(), while that thread waits for a worker, change the state.
class Hypervisor final : public PageWatch {
public:
  static Hypervisor& the() {
    static Hypervisor hypervisor;
    return hypervisor;
  }

  void attach(const model::EmbeddingTable& table) override {
    BOOST_REQUIRE(table.row_bytes() % CloudView::kPageBytes == 0);
    // No instruction needs two pages at once then, which would fault for ever.
    begin_ = const_cast<u8*>(table.bytes().data());
    bytes_ = table.bytes().size();
    struct sigaction action = {};
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
      the().fault(static_cast<u8*>(info->si_addr));
    };
    action.sa_flags = SA_SIGINFO;
    BOOST_REQUIRE(sigaction(SIGSEGV, &action, nullptr) == 0);
    protect_all();
  }
  /// The table is gone.
  void detach() {
    std::signal(SIGSEGV, SIG_DFL);
    begin_ = nullptr;
  }
  std::vector<u32> drain() override {
    std::vector<u32> out(pages_.begin(), pages_.begin() + static_cast<std::ptrdiff_t>(count_));
    count_ = 0;
    protect_all();
    return out;
  }

private:
  void fault(u8* address) {
    if (begin_ == nullptr || address < begin_ || address >= begin_ + bytes_ ||
        count_ == pages_.size()) {
      std::signal(SIGSEGV, SIG_DFL); // somebody else's: it happens again and ends the program
      return;
    }
    const auto page = static_cast<std::size_t>(address - begin_) / CloudView::kPageBytes;
    if (open_ != nullptr) mprotect(open_, CloudView::kPageBytes, PROT_NONE);
    open_ = begin_ + page * CloudView::kPageBytes;
    mprotect(open_, CloudView::kPageBytes, PROT_READ | PROT_WRITE); // it is wiped at the end
    pages_[count_++] = static_cast<u32>(page);
  }
  void protect_all() {
    open_ = nullptr;
    BOOST_REQUIRE(mprotect(begin_, bytes_, PROT_NONE) == 0);
  }

  u8* begin_ = nullptr;
  std::size_t bytes_ = 0;
  u8* open_ = nullptr;
  std::array<u32, 1 << 20> pages_{};
  std::size_t count_ = 0;
};

/// Rows of a page each, as in Llama-3.2-1B; little else.
arch::ModelPlan wide() {
  arch::DecoderConfig config = model::shape_decoder("tiny", 1);
  config.hidden = 2048;
  config.intermediate = 64;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.vocab = 128;
  return arch::plan_decoder(config);
}

/// Prompts in which no token follows itself: a second touch of an open page is none.
std::vector<PlannedRequest> requests_for(u32 vocab) {
  ChaChaRng rng = seeded_rng(6);
  std::vector<PlannedRequest> out(12);
  for (PlannedRequest& request : out) {
    u32 token = static_cast<u32>(rng.below(vocab));
    for (int i = 0; i < 12; ++i) {
      request.prompt.push_back(token);
      token = (token + 1 + static_cast<u32>(rng.below(vocab - 1))) % vocab;
    }
    request.max_tokens = 3;
  }
  return out;
}

AttackResult attacked(bool oblivious) {
  pipeline::EngineOptions options;
  options.model = std::make_shared<const pipeline::ModelLoader>(
      wide(), model::synthetic_tensors(wide()), model::WeightFormat::int8);
  options.threads = 1;
  options.pool.rows_ahead = 64;
  options.oblivious = oblivious;
  SilentProgress progress;
  options.products = std::make_shared<worker::ProductEngine>(*options.scheme.parameters,
                                                             remo::public_matrix_seed(), 1);
  options.model->for_each_linear(
      progress, [&](model::QuantizedLinear linear) { options.products->add(std::move(linear)); });
  const auto model = std::make_shared<const PublicModel>(options.model, options.products,
                                                         *options.scheme.parameters);
  const auto tokenizer = model::Tokenizer::load(tests::model_folder("talaria-tiny"));
  const Recording recording = record(options, "lattice", model, tokenizer,
                                     requests_for(wide().vocab), {}, progress, &Hypervisor::the());
  Hypervisor::the().detach();
  const auto findings = page_visits(recording.view, {});
  BOOST_TEST_REQUIRE(findings.size() == 1u);
  return score(findings.front(), recording.truth, "pages", "lattice");
}

} // namespace

BOOST_AUTO_TEST_CASE(pages_name_every_token_unless_lookups_are_oblivious) {
  const AttackResult off = attacked(false);
  BOOST_TEST(off.rows >= 100u);
  BOOST_TEST(off.top1 == off.rows);
  BOOST_TEST(off.p_value < 1e-6);

  const AttackResult on = attacked(true);
  BOOST_TEST(on.rows == off.rows);
  BOOST_TEST(on.top1 < on.rows / 10);
  BOOST_TEST(on.p_value > 1e-3);
}

BOOST_AUTO_TEST_CASE(without_a_hypervisor_there_are_no_pages_to_look_at) {
  BOOST_TEST(page_visits(CloudView{}, {}).empty());
}

} // namespace talaria::audit
