// A worker whose owner demands evidence. Whoever does not give it gets hellos, a nonce and a
// reason.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/worker/owner_gate.hpp"
#include "tests/attest/fake_services.hpp"
#include "tests/support/simulated_enclave.hpp"
#include "tests/transport/raw_worker.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

/// Decides like the owner of the weights, for a short time, and may be held up.
class WatchedGate final : public LinkGate {
public:
  explicit WatchedGate(attest::Policy policy = owner_policy(), std::chrono::seconds valid_for = {})
      : owner_(std::move(policy), true), valid_for_(valid_for) {}
  GateVerdict judge(std::string_view document, const LinkBinding& own,
                    Milliseconds patience) override {
    if (before) before(++judged_);
    GateVerdict verdict = owner_.judge(document, own, patience);
    if (valid_for_.count() != 0) verdict.valid_for = valid_for_;
    return verdict;
  }
  std::function<void(unsigned)> before; ///< with the number of this verdict

private:
  cli::OwnerGate owner_;
  const std::chrono::seconds valid_for_;
  unsigned judged_ = 0;
};

/// Echoes, and counts what it is asked for: only behind an accepted verdict.
struct GatedWorker {
  Lines log;
  std::atomic<unsigned> requests{0};
  WorkerServer server;

  explicit GatedWorker(std::shared_ptr<LinkGate> gate = std::make_shared<WatchedGate>(),
                       Milliseconds evidence_timeout = kPatience, TlsContext tls = worker_tls(),
                       Milliseconds verdict_patience = kPatience)
      : server(std::move(tls), {"127.0.0.1", 0}, identity_of("gated"),
               options(std::move(gate), evidence_timeout, verdict_patience),
               {[this](std::shared_ptr<WorkerServer::Session> session, u64 id,
                       const Request& request) {
                  ++requests;
                  session->reply(id, echo(request));
                },
                [this](const std::string& line) { log.add(line); }}) {}
  Address address() const { return {"127.0.0.1", server.port()}; }

private:
  static ServerOptions options(std::shared_ptr<LinkGate> gate, Milliseconds evidence_timeout,
                               Milliseconds verdict_patience) {
    ServerOptions options = patient_server();
    options.verdict_patience = verdict_patience;
    options.gate = std::move(gate);
    options.evidence_timeout = evidence_timeout;
    return options;
  }
};

Identity attesting(u32 newest = kProtocolNewest) {
  Identity identity = identity_of("enclave");
  identity.attests = true;
  identity.protocol_newest = newest;
  return identity;
}

std::unique_ptr<WorkerLink> link_with(const GatedWorker& worker, Inbox& inbox,
                                      GiveEvidence evidence,
                                      const TlsContext& tls = enclave_tls()) {
  LinkOptions options = patient_link();
  options.evidence = std::move(evidence);
  options.evidence_timeout = kPatience;
  return std::make_unique<WorkerLink>(tls, worker.address(), "127.0.0.1", attesting(), options,
                                      inbox.events());
}

/// An enclave with this evidence is refused for `code`, which both ends say, and gets nothing.
void check_refused(const std::string& code, GiveEvidence evidence, Errc kind = Errc::config,
                   attest::Policy policy = owner_policy()) {
  GatedWorker worker(std::make_shared<WatchedGate>(std::move(policy)));
  Inbox inbox;
  const Error error = error_of([&] { link_with(worker, inbox, std::move(evidence)); });
  BOOST_TEST((error.code() == kind), error.what());
  BOOST_TEST(contains(error.what(), ": " + code + ": "), error.what());
  BOOST_TEST(contains(error.what(), "does not accept this enclave's evidence"), error.what());
  BOOST_TEST_REQUIRE(worker.log.wait("unlinked"), worker.log.all());
  const std::string said = kind == Errc::config ? ": refused: " : ": not attested, undecided: ";
  BOOST_TEST(worker.log.count(said + code + ": ") == 1u, worker.log.all());
  BOOST_TEST(worker.log.count(": attested") == 0u, worker.log.all());
  BOOST_TEST(worker.requests == 0u);
}

/// An enclave that says hello on three connections and then does as it likes.
struct RawEnclave {
  SessionId session{};
  std::unique_ptr<TlsChannel> control, up, down;

  explicit RawEnclave(const GatedWorker& worker, u8 number = 1) {
    session.fill(number);
    control = open(worker, Role::control);
    up = open(worker, Role::up);
    down = open(worker, Role::down);
  }
  std::unique_ptr<TlsChannel> open(const GatedWorker& worker, Role role) const {
    auto channel = std::make_unique<TlsChannel>(
        enclave_tls(), connect_to(worker.address(), SteadyClock::now() + kPatience), "127.0.0.1");
    channel->handshake();
    Hello hello;
    hello.role = role;
    hello.session = session;
    if (role == Role::control) hello.identity = attesting();
    write_frame(*channel, encode(hello));
    const Hello answer = read_hello(*channel);
    BOOST_TEST_REQUIRE(!answer.refusal.has_value());
    BOOST_TEST(answer.identity.has_value() == (role == Role::control));
    return channel;
  }
  ControlFrame next() const {
    FrameReader reader(*control, kPrefixBytes + kMaxHeadBytes);
    const auto head = reader.next();
    return decode_control(head.bytes, head.payload_bytes);
  }
  /// Whether the worker ends `channel` without another byte.
  static bool ends_silently(TlsChannel& channel) {
    std::array<u8, 1> byte;
    channel.set_deadline(SteadyClock::now() + kPatience);
    try {
      channel.read(byte);
    } catch (const Error& error) {
      return !contains(error.what(), "no answer in time");
    }
    return false;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(worker_gate)

BOOST_AUTO_TEST_CASE(an_enclave_with_the_right_evidence_is_answered) {
  for (const auto kind : {attest::EvidenceKind::snp, attest::EvidenceKind::tdx}) {
    GatedWorker worker;
    Inbox inbox;
    const auto link = link_with(worker, inbox, honest_evidence(attester_of(kGoodImage, kind)));
    BOOST_TEST(worker.log.count(": attested for 3600 s: SIMULATED " + std::string(to_string(kind)) +
                                ", image \"good image\", policy \"owner\"") == 1u,
               worker.log.all());
    BOOST_TEST(link->figures().attested_until.has_value());
    const auto tensor = masked(2, kInputs, 5);
    BOOST_TEST(link->send(1, tensor));
    BOOST_TEST(link->send(2, remo::HintRequest{kMatrix, 0, 3}));
    BOOST_TEST(link->send(3, remo::WeightRequest{kMatrix, 0, 1}));
    const Reply product = inbox.take(1);
    BOOST_TEST(std::ranges::equal(*std::get<remo::WorkerProduct>(product).bytes, *tensor.bytes));
    inbox.take(2);
    inbox.take(3);
    BOOST_TEST(worker.requests == 3u);
  }
}

BOOST_AUTO_TEST_CASE(another_program_is_refused) {
  check_refused("image", honest_evidence(attester_of(0x66)));
}

BOOST_AUTO_TEST_CASE(evidence_made_for_a_client_or_an_archive_is_refused) {
  const auto attester = attester_of();
  check_refused("role", [=](const LinkBinding& link) {
    return attester->for_session(link.nonce, channel_of(link), link.enclave_key).value();
  });
  check_refused("role",
                [=](const LinkBinding& link) { return *attester->for_archive(link.enclave_key); });
  // As a worker would get it that asks the API of the enclave: over another connection.
  check_refused("report-data", [=](const LinkBinding& link) {
    return attester->for_session(link.nonce, link.control, link.enclave_key).value();
  });
}

BOOST_AUTO_TEST_CASE(evidence_is_good_for_one_link_and_one_nonce) {
  const auto attester = attester_of();
  GatedWorker first;
  Inbox inbox;
  LinkBinding seen;
  std::string document;
  const auto link = link_with(first, inbox, [&](const LinkBinding& own) {
    seen = own;
    return document = honest_evidence(attester)(own);
  });
  check_refused("report-data", [&](const LinkBinding&) { return document; });
  check_refused("report-data", [&](const LinkBinding& own) {
    LinkBinding other = own; // the right link, an old nonce
    other.nonce = seen.nonce;
    return honest_evidence(attester)(other);
  });
  check_refused("report-data", [&](const LinkBinding& own) {
    LinkBinding other = own; // one connection of three is another
    other.down = seen.down;
    return honest_evidence(attester)(other);
  });
  check_refused("report-data", [&](const LinkBinding& own) {
    LinkBinding other = own;
    std::swap(other.up, other.down);
    return honest_evidence(attester)(other);
  });
  check_refused("report-data", [&](const LinkBinding& own) {
    LinkBinding other = own;
    other.enclave_key.fill(3);
    return honest_evidence(attester)(other);
  });
}

BOOST_AUTO_TEST_CASE(a_relay_with_the_enclaves_own_tls_key_is_refused) {
  std::promise<LinkNonce> nonce;
  std::promise<std::string> document;
  Identity demanding = identity_of("relay");
  demanding.attests = true;
  demanding.protocol_oldest = kProtocolEvidence;
  // Towards a genuine enclave it is a worker, and asks it what it is asked itself.
  RawWorker relay(
      [&](TlsChannel& control, TlsChannel&, TlsChannel&) {
        write_frame(control, encode(AttestRequest{nonce.get_future().get()}));
        FrameReader reader(control, kPrefixBytes + kMaxHeadBytes);
        reader.next();
        const auto bytes = reader.payload();
        document.set_value(std::string(bytes->begin(), bytes->end()));
      },
      demanding);
  auto enclave = std::async(std::launch::async, [&] {
    Inbox inbox;
    LinkOptions options = patient_link();
    options.evidence = honest_evidence(attester_of());
    return error_of([&] {
      WorkerLink(enclave_tls(), relay.address(), "127.0.0.1", attesting(), options, inbox.events());
    });
  });
  check_refused("report-data", [&](const LinkBinding& own) {
    nonce.set_value(own.nonce);
    return document.get_future().get();
  });
  BOOST_TEST((enclave.get().code() == Errc::no_worker));
}

BOOST_AUTO_TEST_CASE(what_is_no_evidence_is_refused) {
  check_refused("document", [](const LinkBinding&) { return std::string("{}"); });
  check_refused("document", [](const LinkBinding&) { return std::string(60'000, 'x'); });
}

BOOST_AUTO_TEST_CASE(missing_collateral_decides_nothing) {
  const auto attester = attester_of();
  check_refused(
      "crl-missing",
      [=](const LinkBinding& link) {
        auto document = *attest::parse_document(honest_evidence(attester)(link));
        document.evidence.items.erase("crl");
        return attest::to_json(document);
      },
      Errc::no_worker);
}

namespace {

attest::EvidenceSet evidence_in(const std::string& document) {
  return attest::parse_document(document)->evidence;
}

/// As an enclave gives it whose host brings no collateral. Of SNP the chain stays: that it is a
/// simulated one, which the policy wants, is known by its root alone.
GiveEvidence bare_evidence(std::shared_ptr<attest::Attester> attester) {
  return [attester](const LinkBinding& link) {
    auto document = *attest::parse_document(honest_evidence(attester)(link));
    if (document.evidence.kind == attest::EvidenceKind::snp)
      document.evidence.items.erase("crl");
    else
      document.evidence = without_collateral(document.evidence);
    return attest::to_json(document);
  };
}

/// A gate whose services know the simulated machines, or hold whoever asks up for ever.
struct FetchingGate {
  enum class Services { answer, away, silent };

  explicit FetchingGate(Services how, attest::Policy policy = owner_policy()) {
    auto services = std::make_unique<Held>(how == Services::silent);
    for (const auto kind : {attest::EvidenceKind::snp, attest::EvidenceKind::tdx})
      if (how == Services::answer)
        answer_for(*services, evidence_in(*attester_of(kGoodImage, kind)->for_archive({})));
    asked = services->count;
    gate = std::make_shared<cli::OwnerGate>(std::move(policy), true);
    gate->fetch_by(std::make_unique<attest::BackgroundFetcher>(
        std::move(services), attest::CollateralFolder(folder.path() / "kept"),
        [](const std::string&) {}));
  }
  TemporaryFolder folder;
  std::shared_ptr<std::atomic<unsigned>> asked;
  std::shared_ptr<cli::OwnerGate> gate;

private:
  struct Held final : FakeServices {
    explicit Held(bool held) {
      if (!held) end.set_value();
    }
    attest::HttpsReply get(const std::string& host, const std::string& target) override {
      ++*count;
      word.wait();
      return FakeServices::get(host, target);
    }
    void stop() noexcept override {
      if (word.wait_for(std::chrono::seconds(0)) != std::future_status::ready) end.set_value();
    }
    std::shared_ptr<std::atomic<unsigned>> count = std::make_shared<std::atomic<unsigned>>(0);
    std::promise<void> end;
    std::shared_future<void> word = end.get_future().share();
  };
};

} // namespace

BOOST_AUTO_TEST_CASE(collateral_that_evidence_lacks_is_fetched) {
  FetchingGate of(FetchingGate::Services::answer);
  for (const auto kind : {attest::EvidenceKind::snp, attest::EvidenceKind::tdx}) {
    const unsigned before = *of.asked;
    for (int time = 0; time < 2; ++time) { // the second time from the folder
      GatedWorker worker(of.gate);
      Inbox inbox;
      const auto link = link_with(worker, inbox, bare_evidence(attester_of(kGoodImage, kind)));
      BOOST_TEST(link->send(1, masked(1, kInputs, 1)));
      inbox.take(1);
    }
    BOOST_TEST(*of.asked - before == (kind == attest::EvidenceKind::snp ? 1u : 4u));
  }
}

BOOST_AUTO_TEST_CASE(services_that_are_away_or_silent_leave_it_undecided_and_are_named) {
  const auto refusal = [](FetchingGate::Services how) {
    FetchingGate of(how);
    GatedWorker worker(of.gate, kPatience, worker_tls(), Milliseconds(50));
    Inbox inbox;
    const Error error = error_of([&] { link_with(worker, inbox, bare_evidence(attester_of())); });
    BOOST_TEST((error.code() == Errc::no_worker), error.what());
    BOOST_TEST(contains(error.what(), "crl-missing: "), error.what());
    BOOST_TEST(worker.requests == 0u);
    return std::string(error.what());
  };
  const std::string away = refusal(FetchingGate::Services::away);
  BOOST_TEST(contains(away, "asking for it did not help: crl: kdsintf.amd.com does not know"),
             away);
  const std::string silent = refusal(FetchingGate::Services::silent);
  BOOST_TEST(contains(silent, "no answer of the services within 50 ms"), silent);
}

BOOST_AUTO_TEST_CASE(nobody_is_asked_about_evidence_that_would_be_refused_all_the_same) {
  FetchingGate of(FetchingGate::Services::answer);
  const auto try_with = [&](GiveEvidence evidence) {
    GatedWorker worker(of.gate);
    Inbox inbox;
    error_of([&] { link_with(worker, inbox, std::move(evidence)); });
    BOOST_TEST_REQUIRE(worker.log.wait("unlinked"), worker.log.all());
    BOOST_TEST(worker.log.count(": attested") == 0u, worker.log.all());
  };
  for (const auto kind : {attest::EvidenceKind::snp, attest::EvidenceKind::tdx}) {
    try_with(bare_evidence(attester_of(0x66, kind)));
    try_with([&](const LinkBinding& own) {
      LinkBinding other = own;
      other.nonce.fill(1);
      return bare_evidence(attester_of(kGoodImage, kind))(other);
    });
  }
  BOOST_TEST(*of.asked == 0u);
}

BOOST_AUTO_TEST_CASE(a_link_in_use_waits_for_no_service) {
  // What it has runs out within the next verdicts, so that services are asked, who are silent.
  attest::Policy policy = owner_policy();
  policy.binding.max_age = std::chrono::hours(24 * 60);
  FetchingGate of(FetchingGate::Services::silent, policy);
  struct Often final : LinkGate { // renews each second
    explicit Often(std::shared_ptr<cli::OwnerGate> owner) : owner(std::move(owner)) {}
    GateVerdict judge(std::string_view document, const LinkBinding& own,
                      Milliseconds patience) override {
      waits.push_back(patience);
      before();
      GateVerdict verdict = owner->judge(document, own, patience);
      verdict.valid_for = std::chrono::seconds(1);
      return verdict;
    }
    std::shared_ptr<cli::OwnerGate> owner;
    std::vector<Milliseconds> waits;
    std::function<void()> before;
  };
  const auto gate = std::make_shared<Often>(of.gate);
  std::promise<void> again;
  gate->before = [&, count = 0]() mutable {
    if (++count == 2) again.set_value();
  };
  {
    GatedWorker worker(gate);
    Inbox inbox;
    const auto link = link_with(worker, inbox, honest_evidence(attester_of()));
    BOOST_TEST_REQUIRE((again.get_future().wait_for(kPatience) == std::future_status::ready));
    BOOST_TEST(link->send(1, masked(1, kInputs, 1))); // waits for the second verdict
    inbox.take(1);
    BOOST_TEST(inbox.losses() == 0u);
  }
  BOOST_TEST(*of.asked == 1u); // under way since the first verdict
  BOOST_TEST(gate->waits.at(0).count() > 0);
  for (std::size_t i = 1; i < gate->waits.size(); ++i) BOOST_TEST(gate->waits[i].count() == 0);
}

BOOST_AUTO_TEST_CASE(collateral_that_is_older_than_was_seen_before_is_refused) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "seen.json";
  const auto gate = [&] {
    return std::make_shared<cli::OwnerGate>(owner_policy(), true,
                                            std::make_unique<attest::SeenCollateral>(file));
  };
  Inbox inbox;
  {
    GatedWorker worker(gate());
    link_with(worker, inbox, honest_evidence(attester_of()));
  }
  auto seen = nlohmann::json::parse(std::ifstream(file));
  BOOST_TEST_REQUIRE(seen["seen"].size() == 1u);
  for (auto& date : seen["seen"]) date = date.get<i64>() + 1; // of a list that this one replaces
  std::ofstream(file) << seen;
  GatedWorker worker(gate());
  const Error error = error_of([&] { link_with(worker, inbox, honest_evidence(attester_of())); });
  BOOST_TEST((error.code() == Errc::config));
  BOOST_TEST(contains(error.what(), "attestation: rollback: CRL "), error.what());
  BOOST_TEST(worker.log.wait("refused: rollback: CRL "), worker.log.all());
  BOOST_TEST(worker.requests == 0u);
}

BOOST_AUTO_TEST_CASE(a_pin_is_demanded_besides) {
  attest::Policy policy = owner_policy();
  policy.service.pins.emplace_back().fill(1);
  check_refused("certificate", honest_evidence(attester_of()), Errc::config, policy);
}

BOOST_AUTO_TEST_CASE(an_enclave_without_evidence_is_told_at_the_hello) {
  GatedWorker worker;
  Inbox inbox;
  const Error error = error_of([&] { link_to(worker.address(), inbox); });
  BOOST_TEST((error.code() == Errc::config));
  BOOST_TEST(contains(error.what(), "attestation: this side gives no evidence of itself "
                                    "(serve.attestation), worker gated demands it"),
             error.what());
  BOOST_TEST(worker.log.wait("attestation: enclave enclave gives no evidence"), worker.log.all());
  BOOST_TEST(worker.requests == 0u);
}

BOOST_AUTO_TEST_CASE(earlier_versions_are_told_why_they_do_not_fit) {
  GatedWorker worker;
  Inbox inbox;
  Identity old = identity_of("enclave");
  old.protocol_newest = 1;
  const Error error = error_of([&] { link_to(worker.address(), inbox, patient_link(), old); });
  const std::string why = fmt::format("{} to {}, because it demands evidence of enclaves",
                                      kProtocolEvidence, kProtocolNewest);
  BOOST_TEST(contains(error.what(), "protocol: this side 1 to 1, worker gated " + why),
             error.what());
  BOOST_TEST(worker.log.wait("protocol: enclave enclave 1 to 1, this side " + why),
             worker.log.all());
}

BOOST_AUTO_TEST_CASE(a_worker_that_demands_nothing_is_given_nothing) {
  Identity old = identity_of("old");
  old.protocol_newest = 1;
  std::atomic<bool> asked{false};
  LinkOptions options = patient_link();
  options.evidence = [&](const LinkBinding&) {
    asked = true;
    return std::string("evidence");
  };
  Inbox inbox;
  EchoWorker worker(patient_server(), old);
  {
    WorkerLink link(enclave_tls(), worker.address(), "127.0.0.1", attesting(), options,
                    inbox.events());
    BOOST_TEST(!link.figures().attested_until.has_value());
    BOOST_TEST(link.send(1, masked(1, kInputs, 1)));
    inbox.take(1);
  }
  BOOST_TEST(!asked);
}

BOOST_AUTO_TEST_CASE(a_worker_may_not_ask_if_its_hello_did_not_say_so) {
  RawWorker worker([](TlsChannel& control, TlsChannel&, TlsChannel&) {
    write_frame(control, encode(AttestRequest{}));
    FrameReader reader(control, kPrefixBytes + kMaxHeadBytes);
    for (;;) reader.next();
  });
  Inbox inbox;
  LinkOptions options = patient_link();
  options.evidence = honest_evidence(attester_of());
  const WorkerLink link(enclave_tls(), worker.address(), "127.0.0.1", attesting(), options,
                        inbox.events());
  BOOST_TEST((inbox.loss().code() == Errc::verification));
}

BOOST_AUTO_TEST_CASE(requests_before_the_verdict_get_no_byte_and_end_the_link) {
  const WireFormat format = wire_format(identity_of("x"));
  const std::vector<Request> early{masked(1, kInputs, 1), remo::HintRequest{kMatrix, 0, 1},
                                   remo::WeightRequest{kMatrix, 0, 1}};
  for (std::size_t i = 0; i < early.size(); ++i) {
    GatedWorker worker;
    const RawEnclave enclave(worker);
    BOOST_TEST(std::holds_alternative<AttestRequest>(enclave.next()));
    write_frame(*enclave.up, encode(1, early[i], format));
    BOOST_TEST_REQUIRE(worker.log.wait("a request came before its evidence was accepted"),
                       worker.log.all());
    BOOST_TEST(RawEnclave::ends_silently(*enclave.down));
    BOOST_TEST(RawEnclave::ends_silently(*enclave.up));
    BOOST_TEST(RawEnclave::ends_silently(*enclave.control));
    BOOST_TEST(worker.requests == 0u);
  }
}

BOOST_AUTO_TEST_CASE(anything_but_evidence_on_control_is_refused) {
  GatedWorker worker;
  const RawEnclave enclave(worker);
  BOOST_TEST(std::holds_alternative<AttestRequest>(enclave.next()));
  write_frame(*enclave.control, encode(Beat{}));
  BOOST_TEST(std::holds_alternative<Error>(enclave.next()));
  BOOST_TEST(RawEnclave::ends_silently(*enclave.control));
  BOOST_TEST(worker.log.wait("refused: early"), worker.log.all());
}

BOOST_AUTO_TEST_CASE(evidence_that_is_late_is_none) {
  GatedWorker worker(std::make_shared<WatchedGate>(), Milliseconds(100));
  const RawEnclave enclave(worker);
  BOOST_TEST(std::holds_alternative<AttestRequest>(enclave.next()));
  const ControlFrame word = enclave.next();
  BOOST_TEST_REQUIRE(std::holds_alternative<Error>(word));
  BOOST_TEST(contains(std::get<Error>(word).what(), "undecided: evidence-late"));
  BOOST_TEST(RawEnclave::ends_silently(*enclave.down));
  BOOST_TEST(worker.log.wait("undecided: evidence-late"), worker.log.all());
}

BOOST_AUTO_TEST_CASE(a_nonce_is_new_each_time) {
  GatedWorker worker;
  const RawEnclave first(worker, 1);
  const RawEnclave second(worker, 2);
  const auto nonce = [](const RawEnclave& enclave) {
    return std::get<AttestRequest>(enclave.next()).nonce;
  };
  BOOST_TEST((nonce(first) != nonce(second)));
}

BOOST_AUTO_TEST_CASE(evidence_is_demanded_again_and_requests_wait_for_the_verdict) {
  auto gate = std::make_shared<WatchedGate>(owner_policy(), std::chrono::seconds(1));
  std::promise<void> asked_again;
  std::promise<void> decide;
  gate->before = [&, decided = decide.get_future().share()](unsigned number) {
    if (number != 2) return;
    asked_again.set_value();
    decided.wait();
  };
  GatedWorker worker(gate);
  Inbox inbox;
  const auto link = link_with(worker, inbox, honest_evidence(attester_of()));
  BOOST_TEST(link->send(1, masked(1, kInputs, 1)));
  inbox.take(1);
  BOOST_TEST_REQUIRE((asked_again.get_future().wait_for(kPatience) == std::future_status::ready));
  BOOST_TEST(link->send(2, masked(1, kInputs, 2)));
  BOOST_TEST(worker.requests == 1u);
  decide.set_value();
  inbox.take(2);
  BOOST_TEST(worker.log.count(": attested for 1 s") >= 2u, worker.log.all());
  BOOST_TEST(inbox.losses() == 0u);
}

BOOST_AUTO_TEST_CASE(evidence_that_fails_later_ends_the_link) {
  GatedWorker worker(std::make_shared<WatchedGate>(owner_policy(), std::chrono::seconds(1)));
  Inbox inbox;
  unsigned given = 0;
  const auto link = link_with(worker, inbox, [&](const LinkBinding& own) {
    return honest_evidence(attester_of(++given == 1 ? kGoodImage : 0x66))(own);
  });
  const Error loss = inbox.loss();
  BOOST_TEST((loss.code() == Errc::config));
  BOOST_TEST(contains(loss.what(), "attestation: image: "), loss.what());
  BOOST_TEST(worker.log.wait("unlinked: its evidence was not accepted: image"), worker.log.all());
  BOOST_TEST(!link->send(1, masked(1, kInputs, 1)));
  BOOST_TEST(worker.requests == 0u);
}

BOOST_AUTO_TEST_CASE(a_key_made_at_the_start_is_accepted_for_its_evidence_alone) {
  const TlsContext ephemeral(EphemeralIdentity{certificates().files("enclave").ca, "enclave"});
  const TlsContext strangers(certificates().files("127.0.0.1"), Strangers::need_evidence);
  GatedWorker worker(std::make_shared<WatchedGate>(), kPatience, strangers);
  Inbox inbox;
  {
    const auto link = link_with(worker, inbox, honest_evidence(attester_of()), ephemeral);
    BOOST_TEST(link->send(1, masked(1, kInputs, 1)));
    inbox.take(1);
  }
  const Error other =
      error_of([&] { link_with(worker, inbox, honest_evidence(attester_of(0x66)), ephemeral); });
  BOOST_TEST(contains(other.what(), "image"), other.what());
  // A worker with an authority wants its certificate besides.
  GatedWorker strict;
  const Error refused =
      error_of([&] { link_with(strict, inbox, honest_evidence(attester_of()), ephemeral); });
  BOOST_TEST((refused.code() == Errc::no_worker));
  BOOST_TEST(worker.requests == 1u);
  BOOST_TEST(strict.requests == 0u);
}

namespace {

/// What the gate's owner gives an enclave of this image.
std::optional<SealKey> key_given(u8 image, const SealKey& secret, attest::EvidenceKind kind) {
  attest::Policy policy = owner_policy();
  attest::Image other;
  other.name = "other image";
  other.snp.emplace().measurement = {image_bytes(0x66)};
  policy.images.push_back(other);
  cli::OwnerGate gate(policy, true);
  gate.give_keys_of(secret);
  LinkBinding link;
  link.nonce.fill(1);
  link.control.fill(2);
  link.enclave_key.fill(3);
  const auto document = honest_evidence(attester_of(image, kind))(link);
  const auto verdict = gate.judge(document, link, Milliseconds(0));
  BOOST_TEST_MESSAGE(verdict.code << " " << verdict.reason);
  return verdict.seal_key;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_owner_gives_each_image_a_key_of_its_own) {
  using enum attest::EvidenceKind;
  const auto good = key_given(kGoodImage, SealKey{1}, snp);
  BOOST_TEST_REQUIRE(good.has_value());
  BOOST_TEST((key_given(kGoodImage, SealKey{1}, snp) == good)); // after a new start, the same
  BOOST_TEST((key_given(kGoodImage, SealKey{2}, snp) != good));
  BOOST_TEST((key_given(0x66, SealKey{1}, snp) != good));
  BOOST_TEST((key_given(kGoodImage, SealKey{1}, tdx) != good));
  BOOST_TEST(!key_given(0x77, SealKey{1}, snp).has_value()); // refused: no key
}

BOOST_AUTO_TEST_CASE(the_key_travels_with_the_word_and_only_then) {
  const auto gate = std::make_shared<cli::OwnerGate>(owner_policy(), true);
  gate->give_keys_of(SealKey{1});
  std::optional<SealKey> given;
  const auto keyed = [&](u8 image, std::shared_ptr<LinkGate> of) {
    given.reset();
    GatedWorker worker(std::move(of));
    Inbox inbox;
    LinkOptions options = patient_link();
    options.evidence = honest_evidence(attester_of(image));
    options.take_owner_key = [&given](const SealKey& key) { given = key; };
    options.evidence_timeout = kPatience;
    try {
      WorkerLink link(enclave_tls(), worker.address(), "127.0.0.1", attesting(), options,
                      inbox.events());
    } catch (const Error& refused) {
      BOOST_TEST((refused.code() == Errc::config), refused.what());
    }
    return given.has_value();
  };
  BOOST_TEST(keyed(kGoodImage, gate));
  BOOST_TEST(!keyed(0x66, gate));
  BOOST_TEST(!keyed(kGoodImage, std::make_shared<cli::OwnerGate>(owner_policy(), true)));
}

BOOST_AUTO_TEST_CASE(a_secret_that_others_can_read_is_none) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "secret";
  const auto written = [&](const std::string& text, unsigned mode) {
    std::ofstream(file) << text;
    std::filesystem::permissions(file, std::filesystem::perms(mode));
    return cli::read_seal_secret(file);
  };
  BOOST_TEST(written(std::string(64, 'a') + "\n", 0600)[31] == 0xaa);
  BOOST_CHECK_THROW(written(std::string(64, 'a'), 0640), Error);
  BOOST_CHECK_THROW(written(std::string(62, 'a'), 0600), Error);
  BOOST_CHECK_THROW(written(std::string(64, 'g'), 0600), Error);
  BOOST_CHECK_THROW(cli::read_seal_secret(folder.path() / "none"), Error);
}

BOOST_AUTO_TEST_CASE(strangers_without_a_gate_are_a_mistake_of_the_program) {
  const TlsContext strangers(certificates().files("127.0.0.1"), Strangers::need_evidence);
  BOOST_TEST((error_of([&] {
                EchoWorker(patient_server(), identity_of("open"), {"127.0.0.1", 0}, strangers);
              }).code() == Errc::internal));
}

BOOST_AUTO_TEST_SUITE_END()
