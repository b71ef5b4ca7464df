#include "transport/server_session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "transport/frame_io.hpp"

namespace talaria::transport {

ServerSession::ServerSession(std::string peer, const EnclaveKeys& keys, const WireFormat& format,
                             const ServerOptions& options, std::shared_ptr<EnclaveShare> share)
    : peer_(std::move(peer)), keys_(keys), format_(format),
      max_in_flight_(std::max<std::size_t>(options.max_in_flight, 1)),
      max_in_flight_bytes_(options.max_in_flight_bytes), max_frame_bytes_(options.max_frame_bytes),
      share_(std::move(share)), admitted_(options.gate == nullptr) {}

void ServerSession::reply(u64 id, const Reply& reply) {
  OutFrame frame = encode(id, reply, format_);
  if (frame.size() > max_frame_bytes_)
    throw Error(Errc::internal, fmt::format("a reply of {} bytes; the limit is {}", frame.size(),
                                            max_frame_bytes_));
  TlsChannel* at_once = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto request = open_.find(id);
    if (ended_ || request == open_.end()) return;
    bytes_ += frame.size();
    bytes_ -= request->second;
    share_->change(request->second, frame.size());
    ++unsent_;
    open_.erase(request);
    if (may_write_at_once(frame.size())) {
      writing_ = true;
      at_once = down_;
    } else {
      replies_.push_back(std::move(frame));
    }
  }
  if (at_once == nullptr) return replies_ready_.notify_all();
  try {
    write(*at_once, frame);
  } catch (const std::exception& error) {
    end(error.what());
  }
}

bool ServerSession::may_write_at_once(std::size_t bytes) const {
  return down_ != nullptr && !writing_ && replies_.empty() && bytes <= kWrittenAtOnce &&
         down_->can_write_at_once(bytes);
}

void ServerSession::attach(Role role, const EnclaveKeys& keys, TlsChannel& channel) {
  const std::lock_guard lock(mutex_);
  if (keys.certificate != keys_.certificate)
    throw Error(Errc::config, "the session belongs to another certificate");
  bool& taken = taken_[static_cast<std::size_t>(role)];
  if (taken) throw Error(Errc::config, "the session has this connection already");
  if (ended_) throw Error(Errc::config, "the session has ended");
  taken = true;
  exporters_[static_cast<std::size_t>(role)] = keys.exporter;
  channels_.push_back(&channel);
  standing_.notify_all();
}

void ServerSession::detach(TlsChannel& channel) {
  const std::lock_guard lock(mutex_);
  std::erase(channels_, &channel);
}

bool ServerSession::complete() const {
  const std::lock_guard lock(mutex_);
  return taken_[0] && taken_[1] && taken_[2];
}

bool ServerSession::wait_until_complete(TimePoint limit) {
  std::unique_lock lock(mutex_);
  standing_.wait_until(lock, limit,
                       [this] { return ended_ || (taken_[0] && taken_[1] && taken_[2]); });
  return !ended_ && taken_[0] && taken_[1] && taken_[2];
}

LinkBinding ServerSession::binding(const LinkNonce& nonce) const {
  const std::lock_guard lock(mutex_);
  return {nonce, exporters_[0], exporters_[1], exporters_[2], keys_.key};
}

void ServerSession::admit() {
  {
    const std::lock_guard lock(mutex_);
    admitted_ = true;
  }
  standing_.notify_all();
}

void ServerSession::hold() {
  const std::lock_guard lock(mutex_);
  admitted_ = false;
}

bool ServerSession::admitted() const {
  const std::lock_guard lock(mutex_);
  return admitted_ && !ended_;
}

bool ServerSession::wait_until_admitted() {
  std::unique_lock lock(mutex_);
  standing_.wait(lock, [this] { return ended_ || admitted_; });
  return !ended_;
}

void ServerSession::end(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = has_ended_ = true;
    if (reason_.empty()) reason_ = reason;
    // All that it holds; from now on nothing of it is counted there.
    share_->leave(open_.size() + unsent_ + (place_ ? 1 : 0), bytes_ + place_.value_or(0));
    replies_.clear();
    open_.clear();
    for (TlsChannel* channel : channels_) channel->interrupt();
  }
  room_.notify_all();
  share_->wake();
  replies_ready_.notify_all();
  standing_.notify_all();
}

void ServerSession::blame(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (reason_.empty()) reason_ = reason;
}

bool ServerSession::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

std::string ServerSession::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

bool ServerSession::wait_for_room(std::size_t bytes) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] {
      const std::size_t count = open_.size() + unsent_;
      return ended_ || count == 0 ||
             (count < max_in_flight_ && bytes_ + bytes <= max_in_flight_bytes_);
    });
    if (ended_) return false;
  }
  if (!share_->take(bytes, [this] { return has_ended_.load(); })) return false;
  const std::lock_guard lock(mutex_);
  if (ended_) {
    share_->leave(1, bytes);
    return false;
  }
  place_ = bytes;
  return true;
}

void ServerSession::begin(u64 id, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  if (!open_.emplace(id, bytes).second)
    throw Error(Errc::verification, fmt::format("request {} came twice", id));
  place_.reset();
  bytes_ += bytes;
}

std::optional<OutFrame> ServerSession::next_reply() {
  std::unique_lock lock(mutex_);
  replies_ready_.wait(lock, [this] { return !writing_ && (ended_ || !replies_.empty()); });
  if (ended_) return std::nullopt;
  OutFrame frame = std::move(replies_.front());
  replies_.pop_front();
  writing_ = true;
  return frame;
}

/// Of the one thread that has set `writing_`.
void ServerSession::write(TlsChannel& channel, const OutFrame& frame) {
  const auto over = [&] {
    bool awaited = false; // by the thread that sends what is queued
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      --unsent_;
      bytes_ -= frame.size();
      if (!ended_) share_->leave(1, frame.size());
      awaited = ended_ || down_ == nullptr || !replies_.empty();
    }
    room_.notify_one();
    if (awaited) replies_ready_.notify_all();
  };
  try {
    write_frame(channel, frame);
  } catch (...) {
    over();
    throw;
  }
  over();
}

void ServerSession::send_replies(TlsChannel& channel) {
  {
    const std::lock_guard lock(mutex_);
    down_ = &channel;
  }
  std::exception_ptr failure;
  try {
    while (const auto frame = next_reply()) write(channel, *frame);
  } catch (...) {
    failure = std::current_exception();
  }
  {
    std::unique_lock lock(mutex_);
    down_ = nullptr;
    if (failure) channel.interrupt(); // whoever is writing must not keep us waiting
    replies_ready_.wait(lock, [this] { return !writing_; });
  }
  if (failure) std::rethrow_exception(failure);
}

} // namespace talaria::transport
