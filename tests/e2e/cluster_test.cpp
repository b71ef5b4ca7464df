// Workers behind TLS change no bit, whatever the topology; workers that lie are named and replaced.
#include <array>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <mutex>
#include <set>
#include <sstream>

#include "model/weights/plan_file.hpp"
#include "model/weights/prepared_writer.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/loopback_worker.hpp"
#include "tests/support/models.hpp"
#include "tests/support/wire_proxy.hpp"
#include "tests/transport/raw_worker.hpp"
#include "transport/wire_codec.hpp"

namespace talaria {

using tests::LoopbackShare;
using tests::LoopbackWorker;

namespace {

/// Lines that the dispatcher logged.
class Lines {
public:
  std::function<void(const std::string&)> sink() {
    return [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      text_ += line + "\n";
    };
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  bool mention(const std::string& what) const { return text().find(what) != std::string::npos; }
  /// Names of the workers in lines of the form "worker 'NAME' (...) is quarantined: ...".
  std::set<std::string> quarantined() const {
    std::set<std::string> names;
    std::istringstream lines(text());
    for (std::string line; std::getline(lines, line);) {
      const auto name = line.find('\'');
      if (line.find(" is quarantined") != std::string::npos)
        names.insert(line.substr(name + 1, line.find('\'', name + 1) - name - 1));
    }
    return names;
  }

private:
  mutable std::mutex mutex_;
  std::string text_;
};

struct Member {
  LoopbackShare share;
  bool replica = false;
  tests::Lie lie = nullptr;
  bool late = false; ///< nobody reaches it before a liar was asked: otherwise it may be first
};

/// Workers and the options of an engine that uses them.
class Cluster {
public:
  Cluster(const std::string& model, const std::vector<Member>& members,
          const std::string& weights = "int8", const std::string& worker_model = {},
          const std::string& parameters = "S48") {
    options_.model_dir = model;
    options_.scheme.parameters = &remo::lattice_parameters(parameters);
    options_.weights = model::parse_weight_format(weights);
    options_.threads = 2;
    auto& cluster = options_.cluster.emplace();
    cluster.tls = certificates_.enclave();
    cluster.log = lines_.sink();
    cluster.policy.request_deadline = cluster::Milliseconds(20000);
    for (std::size_t i = 0; i < members.size(); ++i) {
      LoopbackShare share = members[i].share;
      share.model = worker_model.empty() ? model : worker_model;
      share.weights = weights;
      share.parameters = parameters;
      tests::Lie lie;
      if (members[i].lie)
        lie = [this, told = members[i].lie](const transport::Request& request,
                                            transport::Reply reply) {
          let_in_late_ones();
          return told(request, std::move(reply));
        };
      workers_.push_back(std::make_unique<LoopbackWorker>(certificates_, share, lie));
      u16 port = workers_.back()->port();
      if (members[i].late) port = late_.emplace_back(port).proxy->port();
      cluster.nodes.push_back(
          tests::node_at("node-" + std::to_string(i), port, share, members[i].replica));
    }
  }
  void let_in_late_ones() {
    for (auto& [port, proxy] : late_) proxy->lead_to(port);
  }
  pipeline::EngineOptions& options() { return options_; }
  const Lines& lines() const { return lines_; }
  transport::TlsFiles worker_files() const { return certificates_.worker(); }

private:
  struct Late {
    explicit Late(u16 worker) : port(worker) {}
    u16 port;
    std::unique_ptr<tests::WireProxy> proxy = std::make_unique<tests::WireProxy>();
  };

  tests::LoopbackCertificates certificates_;
  Lines lines_;
  std::vector<Late> late_; ///< complete before any worker is asked
  std::vector<std::unique_ptr<LoopbackWorker>> workers_;
  pipeline::EngineOptions options_;
};

std::vector<pipeline::Request> requests() {
  std::vector<pipeline::Request> all;
  for (u32 variant = 0; variant < 3; ++variant) {
    pipeline::Request logits;
    auto rng = seeded_rng(31, variant);
    logits.prompt.resize(5 + 20 * variant);
    for (auto& token : logits.prompt) token = static_cast<u32>(rng.below(4096));
    logits.logits = pipeline::LogitsWanted::all;
    pipeline::Request text;
    text.prompt = logits.prompt;
    text.max_tokens = 10;
    text.ignore_eos = true;
    text.sampling.temperature = 0.8F;
    text.sampling.seed = 11;
    all.push_back(std::move(logits));
    all.push_back(std::move(text));
  }
  return all;
}

std::vector<tests::Collected> answers(const pipeline::EngineOptions& options) {
  SilentProgress progress;
  pipeline::Engine engine(options, progress);
  return tests::run_together(engine, requests());
}

std::vector<tests::Collected> embedded_answers(const std::string& model,
                                               const std::string& weights = "int8",
                                               const std::string& parameters = "S48") {
  pipeline::EngineOptions options;
  options.model_dir = model;
  options.scheme.parameters = &remo::lattice_parameters(parameters);
  options.weights = model::parse_weight_format(weights);
  options.threads = 2;
  return answers(options);
}

void check_same(const std::vector<tests::Collected>& a, const std::vector<tests::Collected>& b) {
  BOOST_TEST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    BOOST_TEST(a[i].completion.tokens == b[i].completion.tokens, boost::test_tools::per_element());
    BOOST_TEST_REQUIRE(a[i].logits.size() == b[i].logits.size());
    for (std::size_t row = 0; row < a[i].logits.size(); ++row)
      BOOST_TEST_REQUIRE(std::memcmp(a[i].logits[row].data(), b[i].logits[row].data(),
                                     a[i].logits[row].size() * sizeof(float)) == 0);
  }
}

LoopbackShare layers(const std::string& range, const std::string& columns = "1/1") {
  return {{}, "int8", range, columns};
}

const Member kLateReplica{layers("all"), true, nullptr, true};

remo::SharedBytes changed(const remo::SharedBytes& bytes,
                          const std::function<void(AlignedBuffer<u8>&)>& change) {
  AlignedBuffer<u8> copy(bytes->size());
  std::copy(bytes->begin(), bytes->end(), copy.begin());
  change(copy);
  return std::make_shared<const AlignedBuffer<u8>>(std::move(copy));
}

/// Instead of answers to one kind of question.
template <class Question>
tests::Lie instead_of(std::function<std::optional<transport::Reply>(transport::Reply)> change) {
  return [change](const transport::Request& request,
                  transport::Reply reply) -> std::optional<transport::Reply> {
    if (!std::holds_alternative<Question>(request)) return reply;
    return change(std::move(reply));
  };
}

/// One bit of every answer to one kind of question.
template <class Question>
tests::Lie flip_a_bit() {
  return instead_of<Question>([](transport::Reply reply) {
    const auto flip = [](auto& answer) {
      if constexpr (!std::is_same_v<std::decay_t<decltype(answer)>, Error>)
        answer.bytes = changed(answer.bytes, [](auto& bytes) { bytes[bytes.size() / 2] ^= 1; });
    };
    std::visit(flip, reply);
    return reply;
  });
}

template <class Question>
tests::Lie refuse(Errc code = Errc::no_worker, const std::string& text = "busy") {
  return instead_of<Question>(
      [=](const transport::Reply&) { return transport::Reply(Error(code, text)); });
}

template <class Question>
tests::Lie withhold() {
  return instead_of<Question>([](const transport::Reply&) { return std::nullopt; });
}

/// Lies about products only, so that the load succeeds.
tests::Lie about_products(std::function<void(remo::WorkerProduct&)> change) {
  return [change](const transport::Request& request, transport::Reply reply) {
    if (std::holds_alternative<remo::MaskedTensor>(request))
      change(std::get<remo::WorkerProduct>(reply));
    return reply;
  };
}

} // namespace

BOOST_DATA_TEST_CASE(topologies_change_no_bit, boost::unit_test::data::make(tests::kModels),
                     model) {
  const std::string folder = tests::model_folder(model);
  const auto expected = embedded_answers(folder);
  const u32 last = model::load_model_plan(folder).layer_count() - 1;
  BOOST_TEST_REQUIRE(last >= 1U);
  const std::string front = "0-" + std::to_string((last - 1) / 2);
  const std::string back = std::to_string((last - 1) / 2 + 1) + "-" + std::to_string(last);
  const std::vector<std::vector<Member>> topologies{
      {{layers("all")}},
      {{layers(front)}, {layers(back)}},
      {{layers(front)}, {layers(back)}, {layers("all"), true}},
      {{layers("all", "1/2")}, {layers("all", "2/2")}},
      {{layers(front, "1/2")}, {layers(front, "2/2")}, {layers(back)}, {layers("all"), true}}};
  for (const auto& members : topologies) BOOST_TEST_CONTEXT(members.size() << " workers") {
      Cluster cluster(folder, members);
      check_same(expected, answers(cluster.options()));
    }
}

// Experts in one tensor, two matrices before the scores: workers load what the enclave checks.
BOOST_DATA_TEST_CASE(sharded_mixtures_change_no_bit,
                     boost::unit_test::data::make(std::vector<std::string>{
                         "gpt_oss_mxfp4", "deepseek_v2", "deepseek_v3"}),
                     model) {
  const std::string folder = tests::model_folder(model);
  Cluster cluster(folder, {{layers("all", "1/2")}, {layers("all", "2/2")}});
  check_same(embedded_answers(folder), answers(cluster.options()));
}

namespace {

/// Everything that a worker is asked, as its wire shows it: matrix, rows, bytes.
using Asked = std::vector<std::array<std::size_t, 3>>;

Asked asked_for(pipeline::Engine& engine, std::vector<u32> prompt, Asked& seen) {
  seen.clear();
  pipeline::Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = 5;
  request.ignore_eos = true;
  tests::run_together(engine, {request});
  engine.wait_until_idle();
  return seen;
}

} // namespace

// One prompt says one word again and again, the other never the same twice: their experts differ,
// and what is sent does not.
BOOST_DATA_TEST_CASE(prompts_of_one_length_look_the_same_to_the_worker_of_a_mixture,
                     boost::unit_test::data::make(std::vector<std::string>{"qwen2_moe", "gpt_oss",
                                                                           "deepseek_v3"}),
                     model) {
  Asked seen;
  Member member{layers("all")};
  member.lie = [&seen](const transport::Request& request, transport::Reply reply) {
    if (const auto* tensor = std::get_if<remo::MaskedTensor>(&request))
      seen.push_back({tensor->matrix, tensor->rows, tensor->bytes->size()});
    return reply;
  };
  Cluster cluster(tests::model_folder(model), {member});
  SilentProgress progress;
  pipeline::Engine engine(cluster.options(), progress);
  std::vector<u32> varied;
  for (u32 i = 0; i < 40; ++i) varied.push_back(i * 97 % 4096);
  const Asked one = asked_for(engine, std::vector<u32>(40, 300), seen);
  const Asked other = asked_for(engine, varied, seen);
  BOOST_TEST(one.size() == 5 * engine.plan().linears.size());
  BOOST_TEST((one == other));
}

// Matrices of another width in each layer, one before the layers, and layers that share keys.
BOOST_AUTO_TEST_CASE(shards_of_layers_that_differ_change_no_bit) {
  for (const std::string model : {"qwen3_5", "gemma4_e"}) BOOST_TEST_CONTEXT(model) {
      const std::string folder = tests::model_folder(model);
      Cluster cluster(folder, {{layers("all", "1/2")}, {layers("all", "2/2")}});
      check_same(embedded_answers(folder), answers(cluster.options()));
    }
}

BOOST_AUTO_TEST_CASE(sharded_int16_and_other_schemes_change_no_bit) {
  const std::string folder = tests::model_folder("qwen2");
  {
    Cluster cluster(folder, {{layers("all", "1/2")}, {layers("all", "2/2")}}, "int16");
    check_same(embedded_answers(folder, "int16"), answers(cluster.options()));
  }
  Cluster cluster(folder, {{layers("all", "1/2")}, {layers("all", "2/2")}});
  cluster.options().scheme.reply = remo::ReplyFormat::switched;
  const auto expected = embedded_answers(folder);
  check_same(expected, answers(cluster.options()));
  cluster.options().scheme.kind = remo::SchemeKind::clear;
  check_same(expected, answers(cluster.options()));
}

// In five bytes a word and checked by three vectors, with hints of six.
BOOST_AUTO_TEST_CASE(sharded_products_of_rounded_words_change_no_bit) {
  const std::string folder = tests::model_folder("qwen2");
  for (const char* parameters : {"R48", "R43"})
    for (const auto reply : {remo::ReplyFormat::full, remo::ReplyFormat::switched}) {
      Cluster cluster(folder, {{layers("all", "1/2")}, {layers("all", "2/2")}}, "int8", {},
                      parameters);
      cluster.options().scheme.reply = reply;
      check_same(embedded_answers(folder, "int8", parameters), answers(cluster.options()));
    }
}

BOOST_DATA_TEST_CASE(every_kind_of_liar_is_named_and_replaced,
                     boost::unit_test::data::make(std::vector<std::string>{"S48", "R43"}),
                     parameters) {
  const std::string folder = tests::model_folder("qwen3");
  const auto expected = embedded_answers(folder, "int8", parameters);
  const auto earlier = std::make_shared<std::map<u32, remo::WorkerProduct>>();
  std::map<std::string, std::function<void(remo::WorkerProduct&)>> liars{
      {"flips a bit",
       [](auto& product) {
         product.bytes = changed(product.bytes, [](auto& bytes) { bytes[bytes.size() / 2] ^= 1; });
       }},
      {"swaps rows",
       [](auto& product) {
         if (product.rows < 2) return;
         const std::size_t row = product.bytes->size() / product.rows;
         product.bytes = changed(product.bytes, [row](auto& bytes) {
           std::swap_ranges(bytes.begin(), bytes.begin() + row, bytes.begin() + row);
         });
       }},
      {"answers for another layer", [](auto& product) { product.matrix += 4; }},
      {"repeats an old answer",
       [earlier](auto& product) {
         const auto old = earlier->find(product.matrix * 1000 + product.rows);
         if (old != earlier->end())
           product = old->second;
         else
           earlier->emplace(product.matrix * 1000 + product.rows, product);
       }},
      {"returns too few rows",
       [](auto& product) {
         if (product.rows < 2) return;
         const std::size_t row = product.bytes->size() / product.rows;
         --product.rows;
         AlignedBuffer<u8> fewer(product.bytes->size() - row);
         std::copy_n(product.bytes->begin(), fewer.size(), fewer.begin());
         product.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(fewer));
       }},
  };
  if (parameters == "R43")
    liars["writes the words of another modulus"] = [](auto& product) {
      product.kind = remo::ProductKind::residues;
      AlignedBuffer<u8> other(std::size_t{product.rows} * product.cols * 6);
      product.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(other));
    };
  for (const auto& [name, lie] : liars) BOOST_TEST_CONTEXT("a worker that " << name) {
      Cluster cluster(folder, {{layers("all"), false, about_products(lie)}, kLateReplica}, "int8",
                      {}, parameters);
      check_same(expected, answers(cluster.options()));
      BOOST_CHECK(cluster.lines().quarantined() == std::set<std::string>{"node-0"});
    }
}

BOOST_AUTO_TEST_CASE(a_worker_that_announces_2_to_the_60_bytes_is_named_and_replaced) {
  const std::string folder = tests::model_folder("qwen3");
  Cluster cluster(folder, {kLateReplica});
  cli::WorkerFlags flags;
  flags.model = folder;
  SilentProgress progress;
  const auto identity = cli::load_share(flags, progress).identity;
  const tests::RawWorker liar(
      [&](transport::TlsChannel&, transport::TlsChannel& up, transport::TlsChannel& down) {
        const auto format = transport::wire_format(identity);
        transport::FrameReader requests(up, std::size_t{1} << 30);
        const auto head = requests.next();
        cluster.let_in_late_ones();
        const u64 id = transport::decode_request(head.bytes, head.payload_bytes, format).first;
        auto frame = transport::encode(id, transport::Reply(Error(Errc::usage, "no")), format);
        const u64 announced = u64{1} << 60;
        std::memcpy(frame.start.data() + 8, &announced, 8);
        transport::write_frame(down, frame);
        requests.next();
      },
      identity, transport::TlsContext(cluster.worker_files(), transport::End::worker));
  auto& nodes = cluster.options().cluster->nodes;
  nodes.insert(nodes.begin(), tests::node_at("liar", liar.address().port, layers("all")));
  check_same(embedded_answers(folder), answers(cluster.options()));
  BOOST_CHECK(cluster.lines().quarantined() == std::set<std::string>{"liar"});
}

BOOST_DATA_TEST_CASE(prepared_halves_change_no_bit, boost::unit_test::data::make(tests::kModels),
                     model) {
  const tests::TemporaryFolder out;
  const std::string folder = tests::model_folder(model);
  SilentProgress progress;
  model::prepare_model(folder, out.path() / "prepared", {}, progress);
  // The enclave has no weights: each worker streams its shares of them once.
  Cluster cluster((out.path() / "prepared" / "enclave").string(),
                  {{layers("all", "1/2")}, {layers("all", "2/2")}}, "int8",
                  (out.path() / "prepared" / "worker").string());
  check_same(embedded_answers(folder), answers(cluster.options()));
}

BOOST_AUTO_TEST_CASE(among_column_shards_only_the_liar_is_quarantined) {
  const std::string folder = tests::model_folder("llama3");
  const auto flip = about_products([](remo::WorkerProduct& product) {
    product.bytes = changed(product.bytes, [](auto& bytes) { bytes[7] ^= 2; });
  });
  Cluster cluster(folder,
                  {{layers("all", "1/2")}, {layers("all", "2/2"), false, flip}, kLateReplica});
  check_same(embedded_answers(folder), answers(cluster.options()));
  BOOST_CHECK(cluster.lines().quarantined() == std::set<std::string>{"node-1"});
}

BOOST_AUTO_TEST_CASE(a_wrong_hint_is_fetched_from_the_replica) {
  const std::string folder = tests::model_folder("qwen2");
  const tests::Lie lie = [](const transport::Request& request, transport::Reply reply) {
    const auto* hint = std::get_if<remo::HintRequest>(&request);
    if (hint != nullptr && hint->matrix == 2) {
      auto& product = std::get<remo::WorkerProduct>(reply);
      product.bytes = changed(product.bytes, [](auto& bytes) { bytes[1000] ^= 1; });
    }
    return reply;
  };
  Cluster cluster(folder, {{layers("all"), false, lie}, kLateReplica});
  check_same(embedded_answers(folder), answers(cluster.options()));
  BOOST_CHECK(cluster.lines().quarantined() == std::set<std::string>{"node-0"});
  BOOST_TEST(cluster.lines().mention("layers.0.gate_up"), cluster.lines().text());
}

BOOST_AUTO_TEST_CASE(whatever_code_a_worker_refuses_with_the_replica_answers) {
  const std::string folder = tests::model_folder("qwen2");
  const auto expected = embedded_answers(folder);
  for (const Errc code : {Errc::usage, Errc::config, Errc::io, Errc::model, Errc::no_worker,
                          Errc::bounds, Errc::cancelled, Errc::internal, Errc::verification})
    BOOST_TEST_CONTEXT("code " << to_string(code)) {
      Cluster cluster(folder,
                      {{layers("all"), false,
                        refuse<remo::MaskedTensor>(code, "\x1b[31m\n" + std::string(900, '\xff'))},
                       kLateReplica});
      check_same(expected, answers(cluster.options()));
      BOOST_CHECK(cluster.lines().quarantined().empty()); // a refusal is no lie
      // What it says is printable, short, and not said again for every product.
      BOOST_TEST(cluster.lines().text().size() < 20'000U);
      BOOST_TEST(!cluster.lines().mention("\x1b"));
      BOOST_TEST(!cluster.lines().mention(std::string(200, '?')));
    }
}

BOOST_AUTO_TEST_CASE(a_lying_shard_is_replaced_by_a_spare_of_that_shard_alone) {
  const std::string folder = tests::model_folder("llama3");
  const auto expected = embedded_answers(folder);
  const auto flip = flip_a_bit<remo::MaskedTensor>();
  const Member left{layers("all", "1/2")};
  const Member right{layers("all", "2/2")};
  const Member lying_left{layers("all", "1/2"), false, flip};
  const Member lying_right{layers("all", "2/2"), false, flip};
  const Member spare_left{layers("all", "1/2"), true, nullptr, true};
  const Member spare_right{layers("all", "2/2"), true, nullptr, true};
  struct Case {
    std::vector<Member> members;
    std::set<std::string> liars;
  };
  const std::vector<Case> cases{
      {{lying_left, right, spare_left}, {"node-0"}},
      {{left, lying_right, spare_right}, {"node-1"}},
      {{lying_left, lying_right, spare_left, spare_right}, {"node-0", "node-1"}},
      {{lying_left, lying_right, kLateReplica}, {"node-0", "node-1"}},
      // The spare lies as well, and another one does not.
      {{lying_left, right, {layers("all", "1/2"), true, flip, true}, spare_left},
       {"node-0", "node-2"}}};
  for (const auto& [members, liars] : cases) {
    Cluster cluster(folder, members);
    check_same(expected, answers(cluster.options()));
    BOOST_TEST(cluster.lines().quarantined() == liars, cluster.lines().text());
  }
}

BOOST_AUTO_TEST_CASE(a_lying_shard_of_other_formats_is_named) {
  const std::string folder = tests::model_folder("qwen2");
  const std::vector<Member> members{{layers("all", "1/2"), false, flip_a_bit<remo::MaskedTensor>()},
                                    {layers("all", "2/2")},
                                    {layers("all", "1/2"), true, nullptr, true}};
  {
    Cluster cluster(folder, members, "int16");
    check_same(embedded_answers(folder, "int16"), answers(cluster.options()));
    BOOST_CHECK(cluster.lines().quarantined() == std::set<std::string>{"node-0"});
  }
  Cluster cluster(folder, members);
  cluster.options().scheme.kind = remo::SchemeKind::clear;
  check_same(embedded_answers(folder), answers(cluster.options()));
  BOOST_CHECK(cluster.lines().quarantined() == std::set<std::string>{"node-0"});
}

BOOST_AUTO_TEST_CASE(a_lying_shard_without_a_spare_is_named_and_its_neighbour_is_not) {
  const std::string folder = tests::model_folder("qwen2");
  Cluster cluster(folder, {{layers("all", "1/2"), false, flip_a_bit<remo::MaskedTensor>()},
                           {layers("all", "2/2")},
                           {layers("all", "2/2"), true}});
  BOOST_CHECK_EXCEPTION(answers(cluster.options()), Error, [](const Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    const std::string text = error.what();
    return error.code() == Errc::verification && text.find("'node-0'") != std::string::npos &&
           text.find("node-1") == std::string::npos && text.find("node-2") == std::string::npos;
  });
  BOOST_CHECK(cluster.lines().quarantined() == std::set<std::string>{"node-0"});
}

BOOST_AUTO_TEST_CASE(hints_of_a_shard_that_are_wrong_withheld_or_refused_come_from_its_spare) {
  const std::string folder = tests::model_folder("llama3");
  const auto expected = embedded_answers(folder);
  using Hint = remo::HintRequest;
  for (const auto& [lie, is_lie] :
       {std::pair(flip_a_bit<Hint>(), true), std::pair(withhold<Hint>(), false),
        std::pair(refuse<Hint>(), false)}) {
    Cluster cluster(folder, {{layers("all", "1/2"), false, lie},
                             {layers("all", "2/2")},
                             {layers("all", "1/2"), true, nullptr, true}});
    cluster.options().cluster->policy.deadline = cluster::Milliseconds(300);
    check_same(expected, answers(cluster.options()));
    BOOST_TEST(cluster.lines().mention("worker 'node-0'"), cluster.lines().text());
    BOOST_CHECK(cluster.lines().quarantined() ==
                (is_lie ? std::set<std::string>{"node-0"} : std::set<std::string>{}));
  }
}

/// Ends the start with this code, naming the worker, and not later than the deadline allows.
void check_ends(Cluster& cluster, Errc code, const std::string& name) {
  BOOST_CHECK_EXCEPTION(answers(cluster.options()), Error, [&](const Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.code() == code && std::string(error.what()).find(name) != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(hints_without_another_holder_end_the_start_by_name) {
  const std::string folder = tests::model_folder("qwen2");
  using Hint = remo::HintRequest;
  for (const auto& [lie, code] :
       {std::pair(flip_a_bit<Hint>(), Errc::verification),
        std::pair(withhold<Hint>(), Errc::no_worker), std::pair(refuse<Hint>(), Errc::no_worker)}) {
    Cluster cluster(
        folder,
        {{layers("all", "1/2")}, {layers("all", "2/2"), false, lie}, {layers("all", "1/2"), true}});
    cluster.options().cluster->policy.deadline = cluster::Milliseconds(300);
    cluster.options().cluster->policy.request_deadline = cluster::Milliseconds(3000);
    check_ends(cluster, code, "worker 'node-1'");
  }
}

/// An enclave without weights, and workers that stream theirs.
class Halves {
public:
  Halves() {
    SilentProgress progress;
    model::prepare_model(tests::model_folder("qwen2"), out_.path() / "prepared", {}, progress);
  }
  Cluster cluster(const std::vector<Member>& members) const {
    return {(out_.path() / "prepared" / "enclave").string(), members, "int8",
            (out_.path() / "prepared" / "worker").string()};
  }

private:
  tests::TemporaryFolder out_;
};

BOOST_AUTO_TEST_CASE(panels_that_are_wrong_withheld_or_refused_come_from_another_holder) {
  const Halves halves;
  const auto expected = embedded_answers(tests::model_folder("qwen2"));
  using Weights = remo::WeightRequest;
  for (const auto& [lie, is_lie] :
       {std::pair(flip_a_bit<Weights>(), true), std::pair(withhold<Weights>(), false),
        std::pair(refuse<Weights>(), false)}) {
    auto cluster = halves.cluster({{layers("all", "1/2"), false, lie},
                                   {layers("all", "2/2")},
                                   {layers("all", "1/2"), true, nullptr, true}});
    cluster.options().cluster->policy.deadline = cluster::Milliseconds(300);
    check_same(expected, answers(cluster.options()));
    BOOST_TEST(cluster.lines().mention("worker 'node-0'"), cluster.lines().text());
    BOOST_CHECK(cluster.lines().quarantined() ==
                (is_lie ? std::set<std::string>{"node-0"} : std::set<std::string>{}));
  }
}

BOOST_AUTO_TEST_CASE(panels_without_another_holder_end_the_start_by_name) {
  const Halves halves;
  using Weights = remo::WeightRequest;
  for (const auto& [lie, code] : {std::pair(flip_a_bit<Weights>(), Errc::verification),
                                  std::pair(withhold<Weights>(), Errc::no_worker),
                                  std::pair(refuse<Weights>(), Errc::no_worker)}) {
    auto cluster = halves.cluster({{layers("all"), false, lie}});
    cluster.options().cluster->policy.deadline = cluster::Milliseconds(300);
    cluster.options().cluster->policy.request_deadline = cluster::Milliseconds(3000);
    check_ends(cluster, code, "worker 'node-0'");
  }
}

BOOST_AUTO_TEST_CASE(a_liar_without_a_replica_ends_the_request_with_its_name_and_layer) {
  const std::string folder = tests::model_folder("qwen2");
  const auto flip = about_products([](remo::WorkerProduct& product) {
    product.bytes = changed(product.bytes, [](auto& bytes) { bytes[7] ^= 2; });
  });
  Cluster cluster(folder, {{layers("all"), false, flip}});
  BOOST_CHECK_EXCEPTION(answers(cluster.options()), Error, [](const Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.code() == Errc::verification &&
           std::string(error.what()).find("layers.0.qkv") != std::string::npos &&
           std::string(error.what()).find("worker 'node-0'") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(workers_with_other_weights_are_refused_by_name) {
  const std::string folder = tests::model_folder("qwen2");
  {
    Cluster cluster(folder, {{layers("all")}}, "int8", tests::model_folder("qwen3"));
    BOOST_CHECK_EXCEPTION(answers(cluster.options()), Error, [](const Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return error.code() == Errc::config &&
             std::string(error.what()).find("node-0") != std::string::npos;
    });
  }
  Cluster cluster(folder, {{layers("all")}});
  cluster.options().scheme.parameters = &remo::lattice_parameters("S46");
  BOOST_CHECK_EXCEPTION(answers(cluster.options()), Error, [](const Error& error) {
    return error.code() == Errc::config &&
           std::string(error.what()).find("parameters") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(a_cluster_nobody_answers_in_is_an_error_that_names_workers) {
  const std::string folder = tests::model_folder("qwen2");
  Cluster cluster(folder, {{layers("all")}});
  cluster.options().cluster->nodes[0].address.port = 1;
  cluster.options().cluster->ready = cluster::Milliseconds(700);
  BOOST_CHECK_EXCEPTION(answers(cluster.options()), Error, [](const Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.code() == Errc::no_worker &&
           std::string(error.what()).find("node-0") != std::string::npos;
  });
}

} // namespace talaria
