#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace talaria::attest {

/// The steps of a verification, in the order in which a failing one names the verdict
/// (docs/attestation.md). Later steps run even if an earlier one failed, as far as they can.
enum class Stage {
  format,     ///< lengths, versions, reserved bytes
  root,       ///< the root of the chain is one of the pinned keys
  chain,      ///< names, signatures and positions of the certificates
  dates,      ///< of the certificates
  revocation, ///< CRLs: signature, dates, contents
  leaf,       ///< TCB and chip in the certificate are those of the evidence
  signature,  ///< of the evidence
  collateral, ///< Intel's signed statements about TCB levels and the quoting enclave
  tcb_status, ///< what these say about the platform
  policy,     ///< debug, migration, floors... as the verifier's owner wants them
  expected,   ///< measurements and other values
  binding,    ///< to a nonce, a connection, a key
};

/// "format", "root"...: for text and JSON.
const char* to_string(Stage stage) noexcept;

/// What a failed check means for whoever asked; the value is the exit status.
enum class Grade {
  undecided = 6,   ///< something is missing or has expired: fetch it and try again
  not_genuine = 7, ///< no such machine vouches for this
  not_allowed = 8, ///< genuine, but not what the policy wants
  not_bound = 9,   ///< genuine and allowed, but not the party at the other end
};

/// The grade of a failing check. Codes of the kind "...-expired" and "...-missing" are undecided;
/// the others follow from their stage.
Grade grade_of(Stage stage, std::string_view code) noexcept;

/// Why evidence is refused. `code` is stable ("chip-id"); `reason` is one line for people and holds
/// no secret: evidence has none.
struct Refusal {
  Stage stage = Stage::format;
  std::string code;
  std::string reason;

  Grade grade() const noexcept { return grade_of(stage, code); }
};

/// A value, or why there is none.
template <class T>
class [[nodiscard]] Parsed {
public:
  Parsed(T value) : state_(std::move(value)) {}
  Parsed(Refusal refusal) : state_(std::move(refusal)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Refusal& refusal() const { return std::get<1>(state_); }

private:
  std::variant<T, Refusal> state_;
};

enum class CheckResult { pass, fail, skipped };

/// One line of a verdict.
struct Check {
  Stage stage = Stage::format;
  std::string name; ///< a refusal code
  CheckResult result = CheckResult::pass;
  std::string reason;   ///< of a failed or skipped one
  std::string expected; ///< of a failed one, if it compared something
  std::string actual;
};

/// What has been checked. A name stands once in a stage: the first failure is kept, and a failure
/// outweighs a pass.
class Checks {
public:
  void pass(Stage stage, std::string_view name);
  void fail(Stage stage, std::string_view code, std::string_view reason,
            std::string_view expected = {}, std::string_view actual = {});
  void fail(const Refusal& refusal) { fail(refusal.stage, refusal.code, refusal.reason); }
  void skip(Stage stage, std::string_view name, std::string_view why);
  /// Records a pass or a failure; returns `holds`.
  bool require(bool holds, Stage stage, std::string_view code, std::string_view reason,
               std::string_view expected = {}, std::string_view actual = {});

  /// The first failure, in the order of the stages and within a stage in that of the calls.
  std::optional<Refusal> refusal() const;
  /// Whether the check has run and has not failed.
  bool passed(Stage stage, std::string_view name) const;
  /// All of them, by stage; within one in the order of the calls.
  std::vector<Check> ordered() const;
  /// Appends what another verifier found.
  void add(const Checks& other);

private:
  Check& entry(Stage stage, std::string_view name);

  std::vector<Check> checks_;
};

using Seconds = std::chrono::seconds;
using TimePoint = std::chrono::sys_seconds;

/// The time of a judgement: always an argument. `skew` is granted to dates that lie in the future
/// and never to those that have passed.
struct Clock {
  TimePoint now{};
  Seconds skew{0};
};

/// "2026-08-01T00:00:00Z".
std::string to_text(TimePoint time);

/// Reads exactly that form. @return nothing for anything else, 2026-02-30 included.
std::optional<TimePoint> parse_time(std::string_view text);

} // namespace talaria::attest
