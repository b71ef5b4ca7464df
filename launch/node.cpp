#include "launch/node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "core/error.hpp"
#include "launch/node_command.hpp"

namespace talaria::launch {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxEventLine = std::size_t{64} << 10;
constexpr std::size_t kReadsAtOnce = 16; // so that a chatty node does not starve its neighbours
constexpr auto kSshGrace = 2s; // to end by the closed session, which ends the far side too
constexpr auto kKillAfter = 5s;

/// Exit codes that a second try does not change: bad flags or files, a bad model, no such program.
bool is_permanent(const Death& death) {
  const std::array<int, 4> permanent{exit_status(Errc::usage), exit_status(Errc::model), 126, 127};
  return death.signal == 0 &&
         std::find(permanent.begin(), permanent.end(), death.exit_code) != permanent.end();
}

/// Reads what is there; closes the descriptor at its end.
void drain(FileDescriptor& fd, LineReader& lines, const LineReader::Take& take) {
  std::array<char, 4096> buffer;
  for (std::size_t i = 0; i < kReadsAtOnce && fd; ++i) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count > 0) {
      lines.feed({buffer.data(), static_cast<std::size_t>(count)}, take);
    } else if (count == 0 || errno != EINTR) {
      if (count == 0 || errno != EAGAIN) fd.reset();
      return;
    }
  }
}

} // namespace

Node::Node(const config::PipelineConfig& config, const config::WorkerNode& node, Tell tell)
    : command_(node_command(config, node)),
      is_remote_(node.start == config::WorkerNode::Start::ssh), limits_(config.launch),
      log_(config.launch.logs, node.name), tell_(std::move(tell)), out_lines_(kMaxEventLine),
      err_lines_(kMaxEventLine) {
  state_.name = node.name;
  state_.address = to_string(node.address);
}

void Node::start(Clock::time_point now) {
  std::string line;
  for (const std::string& word : command_) line += " " + quote_for_shell(word);
  log_.write("talaria", "starting:" + line);
  last_words_.clear();
  said_why_ = false;
  kill_reason_.clear();
  changed_ = true;
  state_.done = state_.total = 0;
  state_.bytes_per_second = 0;
  state_.what.clear();
  state_.phase = Phase::starting;
  state_.started = now;
  try {
    child_ = std::make_unique<ChildProcess>(command_);
    state_.pid = child_->pid();
  } catch (const Error& error) {
    on_exit(error.what(), error.code() != Errc::config, now);
  }
}

bool Node::service(Clock::time_point now) {
  if (child_) {
    read_output(now);
    if (const auto death = child_->poll_death()) {
      read_output(now); // what it wrote last
      out_lines_.finish([&](const std::string& line) { take_out(line, now); });
      err_lines_.finish([&](const std::string& line) { take_err(line); });
      on_exit(kill_reason_.empty() ? to_text(*death) : kill_reason_,
              was_ever_ready_ || (!is_permanent(*death) && kill_reason_.empty()), now);
    }
  }
  check_times(now);
  return std::exchange(changed_, false);
}

void Node::read_output(Clock::time_point now) {
  drain(child_->out(), out_lines_, [&](const std::string& line) { take_out(line, now); });
  drain(child_->err(), err_lines_, [&](const std::string& line) { take_err(line); });
}

void Node::take_out(const std::string& line, Clock::time_point now) {
  const auto event = parse_event(line);
  if (!event) {
    log_.write("out", line);
  } else if (const auto* progress = std::get_if<ProgressEvent>(&*event)) {
    take(*progress, now);
  } else if (const auto* ready = std::get_if<ReadyEvent>(&*event)) {
    take(*ready, now);
  } else {
    last_words_ = std::get<ErrorEvent>(*event).message;
    said_why_ = true;
    log_.write("error", last_words_);
  }
}

void Node::take_err(const std::string& line) {
  log_.write("err", line);
  if (!line.empty() && !said_why_) last_words_ = one_line(line);
}

void Node::take(const ProgressEvent& event, Clock::time_point now) {
  if (state_.phase == Phase::ready) return; // work it does beside serving
  if (state_.phase != Phase::loading || event.what != state_.what || event.done < state_.done) {
    job_start_ = now;
    job_done_at_start_ = event.done;
    state_.bytes_per_second = 0;
    log_.write("talaria",
               fmt::format("{}: {}", event.what, bytes_text(static_cast<double>(event.total))));
  }
  state_.phase = Phase::loading;
  state_.what = event.what;
  state_.done = event.done;
  state_.total = event.total;
  const double seconds = std::chrono::duration<double>(now - job_start_).count();
  if (seconds > 0)
    state_.bytes_per_second = static_cast<double>(event.done - job_done_at_start_) / seconds;
  changed_ = true;
}

void Node::take(const ReadyEvent& event, Clock::time_point now) {
  state_.matrices = event.matrices;
  state_.weight_bytes = event.bytes;
  if (state_.phase == Phase::ready) return;
  state_.phase = Phase::ready;
  ready_at_ = now;
  was_ever_ready_ = true;
  changed_ = true;
  tell(fmt::format("ready after {}: {} matrices, {}",
                   time_text(std::chrono::duration_cast<Duration>(now - state_.started)),
                   event.matrices, bytes_text(static_cast<double>(event.bytes))));
}

void Node::check_times(Clock::time_point now) {
  if (stop_at_) {
    if (!child_) return;
    if (is_remote_ && now >= *stop_at_ + kSshGrace) child_->signal(SIGTERM);
    if (now >= *stop_at_ + kKillAfter) child_->signal(SIGKILL);
    return;
  }
  if (state_.phase == Phase::restarting && now >= state_.restart_at) {
    ++state_.restarts;
    start(now);
  } else if (child_ && !state_.is_settled() && kill_reason_.empty() &&
             now >= state_.started + limits_.ready) {
    kill_reason_ = fmt::format("not ready within {} (launch.ready), ended by talaria",
                               config::to_text(limits_.ready));
    child_->signal(SIGKILL);
  }
}

/// The process is gone, or could not be made: tells how, and decides what becomes of the node.
void Node::on_exit(const std::string& reason, bool retryable, Clock::time_point now) {
  const auto lived = std::chrono::duration_cast<Duration>(now - state_.started);
  child_.reset();
  state_.pid = 0;
  changed_ = true;
  if (stop_at_) {
    state_.phase = Phase::stopped;
    log_.write("talaria", "stopped: " + reason);
    return;
  }
  state_.last_death = reason + (last_words_.empty() ? "" : "; last words: " + last_words_);
  const std::string died = fmt::format("died after {}: {}", time_text(lived), state_.last_death);
  // A node that served for a while before it died is not caught in a loop of deaths.
  if (state_.phase == Phase::ready && now - ready_at_ > limits_.backoff_max) attempts_ = 0;
  if (!retryable || attempts_ >= limits_.restarts) {
    state_.phase = Phase::failed;
    tell(died + (retryable ? fmt::format("; given up after {} restarts", attempts_)
                           : "; another try would end the same way"));
    return;
  }
  const Duration delay = std::min<Duration>(
      limits_.backoff_max, limits_.backoff_first * (i64{1} << std::min(attempts_, 30U)));
  ++attempts_;
  state_.phase = Phase::restarting;
  state_.restart_at = now + delay;
  tell(fmt::format("{}; restart {} of {} in {}", died, attempts_, limits_.restarts,
                   config::to_text(delay)));
}

void Node::begin_stop(Clock::time_point now) {
  if (stop_at_) return;
  stop_at_ = now;
  changed_ = true;
  if (!child_) {
    if (state_.phase != Phase::failed) state_.phase = Phase::stopped;
    return;
  }
  child_->close_input();
  if (!is_remote_) child_->signal(SIGTERM);
}

bool Node::add_descriptors(std::vector<pollfd>& descriptors) {
  if (!child_) return state_.is_settled();
  for (const int fd : {child_->death_fd(), child_->out().get(), child_->err().get()})
    if (fd >= 0) descriptors.push_back({fd, POLLIN, 0});
  return state_.phase == Phase::ready && child_->death_fd() >= 0 && !stop_at_;
}

void Node::tell(const std::string& text) {
  log_.write("talaria", text);
  tell_(state_.name + ": " + text);
}

} // namespace talaria::launch
