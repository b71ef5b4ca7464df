#include "gateway/admission.hpp"

#include <chrono>
#include <utility>

namespace talaria::gateway {

namespace {
constexpr std::chrono::milliseconds kCheckEvery{100};
} // namespace

Admission::Place::Place(Place&& other) noexcept
    : admission_(std::exchange(other.admission_, nullptr)), answers_(other.answers_) {}

Admission::Place::~Place() {
  if (admission_ != nullptr) admission_->leave(answers_);
}

/// Held under the mutex at both ends of its life.
struct Admission::Queued {
  Queued(Admission& queued_at, std::size_t answers)
      : admission(queued_at), place(admission.queue_.insert(admission.queue_.end(), answers)) {
    admission.load_.waiting += answers;
  }
  ~Queued() {
    admission.load_.waiting -= *place;
    admission.queue_.erase(place);
    admission.changed_.notify_all(); // there may be a new first
  }
  Queued(const Queued&) = delete;
  Queued& operator=(const Queued&) = delete;
  bool first() const { return place == admission.queue_.begin(); }

  Admission& admission;
  std::list<std::size_t>::iterator place;
};

Admission::Place Admission::enter(std::size_t answers, const std::function<void()>& check) {
  std::unique_lock lock(mutex_);
  const auto fits = [&] { return load_.running + answers <= limits_.running; };
  if (!(queue_.empty() && fits())) {
    if (load_.waiting + answers > limits_.waiting) throw Full();
    const Queued queued(*this, answers);
    while (!(queued.first() && fits())) {
      changed_.wait_for(lock, kCheckEvery);
      lock.unlock();
      try {
        check();
      } catch (...) {
        lock.lock();
        throw;
      }
      lock.lock();
    }
  }
  load_.running += answers;
  return {*this, answers};
}

void Admission::leave(std::size_t answers) {
  const std::lock_guard lock(mutex_);
  load_.running -= answers;
  changed_.notify_all();
}

Admission::Load Admission::load() const {
  const std::lock_guard lock(mutex_);
  return load_;
}

} // namespace talaria::gateway
