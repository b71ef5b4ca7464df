// speculation_bench [MODEL] [DRAFTS] [DELAY_MS] [ROUNDS] [LAYERS] [always|judged] [DRAFTER]: one
// sequence decoding over loopback TLS through a relay that delays each way, with drafts over
// without, in turns. MODEL: a folder, or a shape with random weights. DRAFTER: the folder of a
// model that guesses, or random:SHAPE/LAYERS; none: the context does. Three kinds of answers: every
// draft is right; none is; and, of a folder, what the model says behind a list and behind a story.
// Lattice masks. Medians.
//
// speculation_bench replay FOLDER DRAFTS PROMPT_FILE ANSWER_FILE: tokens a round if a model that is
// asked PROMPT answered ANSWER, by the tokenizer of FOLDER.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <vector>

#include "benchmarks/worker_site.hpp"
#include "kernels/kernel_set.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/model_files.hpp"
#include "model/weights/synthetic.hpp"
#include "pipeline/model_loader.hpp"
#include "pipeline/speculation.hpp"
#include "tests/support/wire_proxy.hpp"

namespace {

using namespace talaria;

constexpr u32 kTokens = 96;

struct Kind {
  std::string name;
  pipeline::Request request;
  std::array<std::vector<double>, 2> speed{}; ///< tokens/s without and with drafts
  double per_round = 0;                       ///< tokens, with drafts
};

pipeline::Request numbered_request() {
  pipeline::Request request;
  for (u32 t = 0; t < 64; ++t) request.prompt.push_back(17 + 31 * t);
  request.max_tokens = kTokens;
  request.ignore_eos = true;
  return request;
}

std::vector<Kind> kinds_of(const pipeline::Engine& engine, bool speaks) {
  std::vector<Kind> kinds;
  kinds.push_back({"every draft is right", numbered_request()});
  kinds.back().request.sampling.allowed = {9};
  kinds.push_back({"no draft is right", numbered_request()});
  kinds.back().request.sampling.repetition_penalty = 100;
  if (!speaks) return kinds;
  const auto text = [&](const char* name, const std::string& prompt, float temperature) {
    kinds.push_back({name, numbered_request()});
    kinds.back().request.prompt = engine.tokenizer().encode(prompt, true);
    kinds.back().request.sampling.temperature = temperature;
    kinds.back().request.sampling.seed = 7;
  };
  text("a list, greedy",
       "- The cat sat on the mat and looked at the moon.\n- The dog sat on the mat and looked at "
       "the moon.\n- The bird sat on the mat and looked at the moon.\n- The fish sat on the mat",
       0);
  text("a story, temperature 0.8", "Once upon a time there was a little girl who", 0.8F);
  return kinds;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void run(pipeline::Engine& engine, Kind& kind, bool drafts) {
  engine.wait_for_masks();
  const pipeline::DraftCounts before = engine.draft_counts();
  const auto completion = run_to_end(engine, kind.request);
  kind.speed[drafts ? 1 : 0].push_back(completion.timings.decode_tokens_per_s);
  const pipeline::DraftCounts after = engine.draft_counts();
  if (after.rounds != before.rounds)
    kind.per_round = 1 + static_cast<double>(after.accepted - before.accepted) /
                             static_cast<double>(after.rounds - before.rounds);
}

std::string read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int replay(char** argv) {
  const auto files = pipeline::ModelLoader(argv[2], model::WeightFormat::int8, std::nullopt);
  const auto tokenizer = model::Tokenizer::load(files.files()->texts());
  std::vector<u32> context = tokenizer.encode(read_file(argv[4]), true);
  const std::vector<u32> answer = tokenizer.encode(read_file(argv[5]), false);
  const auto count = static_cast<u32>(std::atoi(argv[3]));
  std::vector<u32> drafts(count);
  std::size_t rounds = 0;
  std::size_t first_right = 0;
  context.push_back(answer.front());
  for (std::size_t at = 1; at < answer.size(); ++rounds) {
    pipeline::draft_from_context(context, drafts);
    std::size_t right = 0;
    while (right < count && at + right < answer.size() && answer[at + right] == drafts[right])
      ++right;
    first_right += right > 0 ? 1 : 0;
    for (std::size_t i = 0; i <= right && at < answer.size(); ++i) context.push_back(answer[at++]);
  }
  fmt::print("{} tokens behind {}: {:.2f} a round with {} drafts, the first right in {:.0f} %\n",
             answer.size(), context.size() - answer.size(),
             static_cast<double>(answer.size() - 1) / static_cast<double>(rounds), count,
             100 * static_cast<double>(first_right) / static_cast<double>(rounds));
  return 0;
}

void set_drafter(const char* drafter, pipeline::EngineOptions& options) {
  const auto plan = model::random_model(drafter);
  if (plan)
    options.draft_model.opened = std::make_shared<const pipeline::ModelLoader>(
        *plan, model::synthetic_tensors(*plan), options.weights);
  else
    options.draft_model.folder = drafter;
}

} // namespace

int main(int argc, char** argv) {
  if (argc == 6 && std::string_view(argv[1]) == "replay") return replay(argv);
  const auto number = [&](int at, int otherwise) {
    return argc > at ? std::atoi(argv[at]) : otherwise;
  };
  const std::string model = argc > 1 ? argv[1] : "models/talaria-tiny";
  const auto drafts = static_cast<u32>(number(2, 4));
  const std::chrono::milliseconds delay(number(3, 2));
  const int rounds = number(4, 5);
  const auto layers = static_cast<u32>(number(5, 4));
  const bool is_folder = std::filesystem::is_directory(model);

  const benchmarks::WorkerSite site(is_folder ? model
                                              : model::random_model_path(model, layers).string());
  tests::WireProxy relay;
  relay.lead_to(site.port());
  pipeline::EngineOptions options;
  if (is_folder) {
    options.model_dir = model;
  } else {
    const arch::ModelPlan plan = model::shape_plan(model, layers);
    options.model = std::make_shared<const pipeline::ModelLoader>(
        plan, model::synthetic_tensors(plan), options.weights);
  }
  options.cluster = site.cluster(relay.port());
  SilentProgress progress;
  pipeline::Engine plain(options, progress);
  options.linears = plain.linears();
  options.batch.drafts = drafts;
  options.batch.drafts_always = argc > 6 && std::string_view(argv[6]) == "always";
  if (argc > 7) set_drafter(argv[7], options);
  pipeline::Engine guessing(options, progress);

  relay.delay(delay);
  auto kinds = kinds_of(plain, is_folder);
  for (int i = 0; i < rounds; ++i)
    for (Kind& kind : kinds)
      for (const bool with : {false, true}) run(with ? guessing : plain, kind, with);
  fmt::print("{}, {} drafts, {} ms each way, {} kernels, {} runs, medians, tokens/s\n", model,
             drafts, delay.count(), kernels::active_kernels().name, rounds);
  for (const Kind& kind : kinds)
    fmt::print("{:28} without {:8.2f}, with {:8.2f}: {:.2f}; {:.2f} tokens a round with drafts\n",
               kind.name, median(kind.speed[0]), median(kind.speed[1]),
               median(kind.speed[1]) / median(kind.speed[0]), kind.per_round);
  return 0;
}
