#include "transport/worker_link.hpp"

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "core/wall_clock.hpp"
#include "transport/clock_estimate.hpp"
#include "transport/frame_io.hpp"
#include "transport/link_evidence.hpp"
#include "transport/link_handshake.hpp"

namespace talaria::transport {
namespace {

using std::chrono::nanoseconds;

/// The most bytes that an honest answer to each request has.
struct AnswerBound {
  const Identity& peer;
  const WireFormat& format;
  std::size_t otherwise; ///< for a matrix that the worker does not hold

  const HeldMatrix* held(u32 matrix) const {
    for (const HeldMatrix& m : peer.matrices)
      if (m.matrix == matrix) return &m;
    return nullptr;
  }
  std::size_t at_most(u128 bytes) const {
    return bytes < otherwise ? static_cast<std::size_t>(bytes) : otherwise;
  }
  std::size_t operator()(const remo::MaskedTensor& t) const {
    const HeldMatrix* m = held(t.matrix);
    using Kind = remo::ProductKind;
    const std::size_t value = t.kind == Kind::float32 || t.kind == Kind::int8 ? 4
                              : t.kind == Kind::switched ? format.switched_bytes
                                                         : format.residue_bytes;
    return m == nullptr ? otherwise : at_most(u128{t.rows} * m->column_count * value);
  }
  std::size_t operator()(const remo::HintRequest& r) const {
    const HeldMatrix* m = held(r.matrix);
    return m == nullptr ? otherwise
                        : at_most(u128{r.count} * m->column_count * format.residue_bytes);
  }
  std::size_t operator()(const remo::WeightRequest& r) const {
    const HeldMatrix* m = held(r.matrix);
    return m == nullptr ? otherwise : at_most(u128{r.count} * ((u128{m->d_in} + 3) / 4) * 256);
  }
};

} // namespace

class WorkerLink::Impl {
public:
  Impl(ConnectedLink link, std::string name, const LinkOptions& options, Events events)
      : link_(std::move(link)), name_(std::move(name)), options_(options),
        events_(std::move(events)), format_(wire_format(link_.peer)),
        evidence_(options.evidence, link_.binding) {
    if (link_.attested_for) attested_for(*link_.attested_for);
  }

  void start() {
    control_ = std::thread([this] { guarded([this] { run_control(); }); });
    up_ = std::thread([this] { guarded([this] { run_up(); }); });
    down_ = std::thread([this] {
      guarded([this] { run_down(); });
      tell_lost();
    });
  }

  ~Impl() { close(); }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    interrupt();
    for (std::thread* thread : {&control_, &up_, &down_})
      if (thread->joinable()) thread->join();
  }

  bool send(u64 id, const Request& request) {
    OutFrame frame = encode(id, request, format_);
    const std::size_t bytes = frame.size();
    if (bytes > options_.max_frame_bytes)
      throw Error(Errc::internal, fmt::format("a request of {} bytes; the limit is {}", bytes,
                                              options_.max_frame_bytes));
    const std::size_t bound =
        std::visit(AnswerBound{link_.peer, format_, options_.max_frame_bytes}, request);
    bool at_once = false;
    {
      const std::lock_guard lock(mutex_);
      const bool room = queued_bytes_ == 0 || queued_bytes_ + bytes <= options_.max_queued_bytes;
      if (stopping_ || lost_ || !room || in_flight_.size() >= options_.max_in_flight) return false;
      if (!in_flight_.emplace(id, bound).second)
        throw Error(Errc::internal, fmt::format("request {} is in flight already", id));
      queued_bytes_ += bytes;
      at_once = !writing_ && queue_.empty() && bytes <= kWrittenAtOnce &&
                link_.up->can_write_at_once(bytes);
      if (at_once)
        writing_ = true;
      else
        queue_.push_back(std::move(frame));
    }
    if (at_once)
      guarded([&] { write(frame); });
    else
      work_.notify_one();
    return true;
  }

  std::optional<Error> loss() const {
    const std::lock_guard lock(mutex_);
    return lost_;
  }

  Figures figures() const {
    const std::lock_guard lock(mutex_);
    return {link_.traffic->sent, link_.traffic->received, clock_.round_trip_ms(),
            clock_.offset_ms(), attested_until_};
  }
  const Identity& peer() const noexcept { return link_.peer; }

private:
  /// Runs a thread's body; whatever ends it ends the link.
  template <class Body>
  void guarded(Body&& body) noexcept {
    try {
      body();
    } catch (const Error& error) {
      fail(error);
    } catch (const std::exception& error) {
      fail(Error(Errc::internal, error.what()));
    }
  }

  void fail(const Error& error) {
    {
      const std::lock_guard lock(mutex_);
      if (!lost_) lost_ = Error(error.code(), fmt::format("worker {}: {}", name_, error.what()));
    }
    interrupt();
  }

  void interrupt() {
    for (TlsChannel* channel : {link_.control.get(), link_.up.get(), link_.down.get()})
      channel->interrupt();
    work_.notify_all();
  }

  void tell_lost() noexcept {
    std::unique_lock lock(mutex_);
    queue_.clear(); // the tensors in it belong to others
    if (stopping_ || !lost_) return;
    const Error error = *lost_;
    lock.unlock();
    if (events_.lost) events_.lost(error);
  }

  bool ended() const {
    const std::lock_guard lock(mutex_);
    return stopping_ || lost_;
  }

  void run_control() {
    TlsChannel& channel = *link_.control;
    FrameReader reader(channel, kPrefixBytes + kMaxHeadBytes);
    TimePoint next_beat = SteadyClock::now();
    while (!ended()) {
      const TimePoint now = SteadyClock::now();
      channel.set_deadline(now + options_.silence);
      if (now >= next_beat) {
        send_beat(channel);
        next_beat = now + options_.heartbeat;
      }
      const auto silent = nanoseconds(steady_ns() - link_.traffic->last_received.load());
      if (silent > options_.silence)
        throw Error(Errc::no_worker,
                    fmt::format("silent for more than {} ms", options_.silence.count()));
      if (channel.wait_readable(
              std::min(options_.heartbeat, options_.silence / 4 + Milliseconds(1))))
        take_control(reader);
      if (const auto document = evidence_.take_if_ready())
        write_frame(channel, encode_evidence(*document));
    }
  }

  void send_beat(TlsChannel& channel) {
    constexpr std::size_t kMaxOpen = 10'000; // silence ends the link long before
    const i64 sent = steady_ns();
    if (open_beats_.size() < kMaxOpen) open_beats_.push_back(sent);
    write_frame(channel, encode(Beat{sent, wall_ns(), false}));
  }

  void take_control(FrameReader& reader) {
    const FrameReader::Head head = reader.next();
    const ControlFrame frame = decode_control(head.bytes, head.payload_bytes);
    if (const auto* beat = std::get_if<Beat>(&frame)) return take_beat(*beat);
    if (!link_.attested_for)
      throw Error(Errc::verification, "speaks of evidence that it did not demand in its hello");
    if (const auto* request = std::get_if<AttestRequest>(&frame)) return evidence_.begin(*request);
    if (const auto* word = std::get_if<Attested>(&frame)) return attested_for(word->valid_for);
    if (const auto* refusal = std::get_if<Error>(&frame)) throw refused_by_owner(*refusal);
    throw Error(Errc::verification, "sent evidence of itself, which nobody demands");
  }

  void attested_for(std::chrono::seconds time) {
    const std::lock_guard lock(mutex_);
    attested_until_ = std::chrono::system_clock::now() + time;
  }

  void take_beat(const Beat& beat) {
    const i64 now = steady_ns();
    if (!beat.answer || open_beats_.empty() || open_beats_.front() != beat.sent)
      throw Error(Errc::verification, "unexpected heartbeat reply; no such heartbeat was sent");
    open_beats_.pop_front();
    const i64 wall = wall_ns(); // the lock may take long
    const std::lock_guard lock(mutex_);
    clock_.add(nanoseconds(now - beat.sent), nanoseconds(beat.clock), nanoseconds(wall));
  }

  void run_up() {
    for (;;) {
      OutFrame frame;
      {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return stopping_ || lost_ || (!writing_ && !queue_.empty()); });
        if (stopping_ || lost_) return;
        frame = std::move(queue_.front());
        queue_.pop_front();
        writing_ = true;
      }
      write(frame);
    }
  }

  /// Of the one thread that has set `writing_`. After an error it stays set: the link is lost.
  void write(const OutFrame& frame) {
    write_frame(*link_.up, frame);
    {
      const std::lock_guard lock(mutex_);
      queued_bytes_ -= frame.size();
      writing_ = false;
      if (queue_.empty()) return;
    }
    work_.notify_one();
  }

  void run_down() {
    FrameReader reader(*link_.down, options_.max_frame_bytes);
    for (;;) {
      const FrameReader::Head head = reader.next();
      auto [id, reply] = decode_reply(head.bytes, head.payload_bytes, format_);
      settle(id, head.payload_bytes);
      set_payload(reply, reader.payload());
      if (ended()) return;
      if (events_.reply) events_.reply(id, std::move(reply));
    }
  }

  /// Takes the request off the books before memory is spent on its answer.
  void settle(u64 id, std::size_t payload_bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = in_flight_.find(id);
    if (found == in_flight_.end())
      throw Error(Errc::verification, fmt::format("answered request {}, which is not open", id));
    if (payload_bytes > found->second)
      throw Error(Errc::verification,
                  fmt::format("reply to request {} has {} bytes, expected at most {}", id,
                              payload_bytes, found->second));
    in_flight_.erase(found);
  }

  ConnectedLink link_;
  const std::string name_;
  const LinkOptions options_;
  const Events events_;
  const WireFormat format_;
  std::deque<i64> open_beats_; ///< of the control thread, as is
  LinkEvidence evidence_;

  mutable std::mutex mutex_; ///< guards what follows
  std::condition_variable work_;
  bool stopping_ = false;
  std::optional<Error> lost_;
  std::deque<OutFrame> queue_;
  bool writing_ = false;                           ///< somebody uses the up channel
  std::size_t queued_bytes_ = 0;                   ///< with the frame being written
  std::unordered_map<u64, std::size_t> in_flight_; ///< id to the most bytes its answer may have
  ClockEstimate clock_;
  std::optional<std::chrono::system_clock::time_point> attested_until_;

  std::thread control_;
  std::thread up_;
  std::thread down_;
};

WorkerLink::WorkerLink(const TlsContext& tls, const Address& address,
                       const std::string& expected_name, const Identity& wanted,
                       const LinkOptions& options, Events events) {
  ConnectedLink link = connect_link(tls, address, expected_name, wanted, options);
  std::string name = to_string(address); // what it calls itself is its word only
  if (!link.peer.name.empty()) name = fmt::format("{} ({})", link.peer.name, name);
  impl_ = std::make_unique<Impl>(std::move(link), std::move(name), options, std::move(events));
  impl_->start();
}

WorkerLink::~WorkerLink() = default;

void WorkerLink::close() {
  impl_->close();
}

const Identity& WorkerLink::peer() const noexcept {
  return impl_->peer();
}

bool WorkerLink::send(u64 id, const Request& request) {
  return impl_->send(id, request);
}

std::optional<Error> WorkerLink::loss() const {
  return impl_->loss();
}

WorkerLink::Figures WorkerLink::figures() const {
  return impl_->figures();
}

} // namespace talaria::transport
