#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace talaria {

/// Why something did not work. Every code has one exit status (README.md, Use it).
enum class Errc {
  usage,        ///< a flag or a request that makes no sense; exit 2
  config,       ///< a configuration file that is wrong; exit 2
  io,           ///< a file that cannot be read or written; exit 2
  model,        ///< a model folder that is damaged, incomplete or of an unknown kind; exit 3
  no_worker,    ///< nobody is left to multiply; exit 4
  verification, ///< a worker's answer, or its hint, is provably wrong; exit 5
  bounds,       ///< a matrix cannot meet the noise or range bound of the parameters; exit 3
  cancelled,    ///< the caller asked to stop; exit 130
  internal,     ///< a broken promise of this program; exit 70
};

/// The process exit status for `code`: 2, 3, 4, 5, 70 or 130.
int exit_status(Errc code) noexcept;

/// Short stable name, e.g. "verification"; for logs and JSON.
const char* to_string(Errc code) noexcept;

/// Thrown while loading and configuring, and returned (see Result) while serving. The message is
/// one line, names the file, field or layer, says what to do, and never contains a secret: no
/// token, activation, mask or key may be formatted into it.
class Error : public std::runtime_error {
public:
  Error(Errc code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Errc code() const noexcept { return code_; }

private:
  Errc code_;
};

/// A value or the Error that took its place, for what is expected to fail while serving (a lying
/// worker, a lost one). Programming errors and bad input files throw instead.
template <class T>
class [[nodiscard]] Result {
public:
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Error& error() const { return std::get<1>(state_); }

  /// The value, or throws the error.
  T value() && {
    if (!*this) throw error();
    return std::get<0>(std::move(state_));
  }

private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  explicit operator bool() const noexcept { return !error_; }
  const Error& error() const { return *error_; }

private:
  std::optional<Error> error_;
};

} // namespace talaria
