#include "gateway/admission.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace talaria::gateway {

namespace {

constexpr std::chrono::milliseconds kCheckEvery{100};
// The last places are kept for who has none: a batch leaves an eighth to other requests, a client
// half of that to other clients. Then neither has to wait for the end of an answer.
constexpr std::size_t kKeptForRequests = 8;
constexpr std::size_t kKeptForClients = 16;

} // namespace

struct Admission::Entry {
  Client& client;
  std::vector<u64> costs;
  i64 priority = 0;
  std::function<void()> changed;
  u64 served = 0;        ///< cost of what it was given, on the scale of its client's requests
  std::size_t given = 0; ///< places that it was given so far
  bool wants_more = true;
  u64 cost = 0;            ///< of the places it has
  std::size_t running = 0; ///< places it has
  std::size_t news = 0;    ///< of these, not taken yet
  bool begun = false;      ///< has, or had, a place
  bool displaced = false;

  bool wants() const { return wants_more && given < costs.size(); }
  bool waits() const { return wants() && !begun; }
  void tell() const {
    if (changed) changed();
  }
};

struct Admission::Client {
  std::string name;
  std::size_t entries = 0;
  std::size_t running = 0;   ///< places of all its entries
  u64 served = 0;            ///< cost of what it was given, on the scale of all clients
  std::list<Entry*> turns{}; ///< its entries that want places, which had one last behind

  /// What the one of them has that was given the least.
  u64 least_served() const {
    u64 least = turns.empty() ? 0 : turns.front()->served;
    for (const Entry* entry : turns) least = std::min(least, entry->served);
    return least;
  }

  std::size_t waiting() const {
    return static_cast<std::size_t>(
        std::count_if(turns.begin(), turns.end(), [](const Entry* e) { return e->waits(); }));
  }
};

Admission::Admission(Limits limits) : limits_(limits) {}
Admission::~Admission() = default;

/// Who begins to wait stands beside the one of those who wait that has been given the least, or if
/// nobody does beside the one that has been given the most, not before them: what was not asked for
/// is not saved up.
u64 Admission::level_of(const Client& newcomer) const {
  std::optional<u64> least;
  u64 most = 0;
  for (const auto& [name, client] : clients_) {
    most = std::max(most, client.served);
    if (!client.turns.empty()) least = std::min(least.value_or(client.served), client.served);
  }
  return std::max(newcomer.served, least.value_or(most));
}

std::unique_ptr<Admission::Ticket> Admission::enter(const std::string& name, Ask ask,
                                                    std::function<void()> changed) {
  const std::lock_guard lock(mutex_);
  Client& client = clients_.try_emplace(name, Client{name}).first->second;
  if (client.turns.empty()) client.served = level_of(client);
  ++client.entries;
  const u64 served = client.least_served();
  entries_.push_back({client, std::move(ask.costs), ask.priority, std::move(changed), served});
  const auto entry = std::prev(entries_.end());
  if (client.turns.empty()) turns_.push_back(&client);
  client.turns.push_back(&*entry);
  ++load_.waiting;
  grant();
  if (entry->waits() && load_.waiting > limits_.waiting) {
    try {
      make_room(client);
    } catch (...) {
      leave(entry);
      throw;
    }
  }
  return std::unique_ptr<Ticket>(new Ticket(*this, entry));
}

/// How many answers may run before `entry` gets another place.
std::size_t Admission::room_for(const Entry& entry) const {
  if (entry.running > 0) return limits_.running - limits_.running / kKeptForRequests;
  if (entry.client.running > 0) return limits_.running - limits_.running / kKeptForClients;
  return limits_.running;
}

bool Admission::can_afford(const Entry& entry) const {
  const u64 cost = entry.costs[entry.given];
  return load_.running == 0 || (cost <= limits_.cost && load_.cost <= limits_.cost - cost);
}

/// A client whose next request may have none of the last places leaves them to the others.
Admission::Entry* Admission::next_in_turn() {
  Client* first = nullptr;
  Entry* next = nullptr;
  for (Client* client : turns_) {
    if (first != nullptr && client->served >= first->served) continue;
    Entry* entry = nullptr;
    for (Entry* each : client->turns)
      if (load_.running < room_for(*each) &&
          (entry == nullptr ||
           std::pair(each->priority, each->served) < std::pair(entry->priority, entry->served)))
        entry = each;
    if (entry == nullptr) continue;
    first = client;
    next = entry;
  }
  return next != nullptr && can_afford(*next) ? next : nullptr;
}

void Admission::grant() {
  while (Entry* entry = next_in_turn()) begin_answer(*entry);
}

/// Gives `entry` a place, and the turn to the others.
void Admission::begin_answer(Entry& entry) {
  Client& client = entry.client;
  if (!std::exchange(entry.begun, true)) --load_.waiting;
  const u64 cost = entry.costs[entry.given++];
  client.served += cost;
  entry.served += cost;
  entry.cost += cost;
  load_.cost += cost;
  ++load_.running;
  ++client.running;
  ++entry.running;
  ++entry.news;
  client.turns.remove(&entry);
  turns_.remove(&client);
  if (entry.wants()) client.turns.push_back(&entry);
  if (!client.turns.empty()) turns_.push_back(&client);
  entry.tell();
  changed_.notify_all();
}

/// The queue is one too long: the newest request of the client with the most in it has to go.
/// @throws Full if that is `newcomer`, or as good as.
void Admission::make_room(Client& newcomer) {
  const auto most =
      std::max_element(turns_.begin(), turns_.end(), [](const Client* a, const Client* b) {
        return a->waiting() < b->waiting();
      });
  if ((*most)->waiting() <= newcomer.waiting()) throw Full();
  const auto newest = std::find_if((*most)->turns.rbegin(), (*most)->turns.rend(),
                                   [](const Entry* entry) { return entry->waits(); });
  Entry& entry = **newest;
  stop_wanting(entry);
  entry.displaced = true;
  entry.tell();
  changed_.notify_all();
}

void Admission::stop_wanting(Entry& entry) {
  if (!entry.wants()) return;
  if (!entry.begun) --load_.waiting;
  entry.wants_more = false;
  entry.client.turns.remove(&entry);
  if (entry.client.turns.empty()) turns_.remove(&entry.client);
}

void Admission::leave(std::list<Entry>::iterator entry) {
  stop_wanting(*entry);
  Client& client = entry->client;
  client.running -= entry->running;
  load_.running -= entry->running;
  load_.cost -= entry->cost;
  entries_.erase(entry);
  if (--client.entries == 0) clients_.erase(std::string(client.name));
  grant();
}

Admission::Load Admission::load() const {
  const std::lock_guard lock(mutex_);
  return load_;
}

Admission::Ticket::~Ticket() {
  const std::lock_guard lock(admission_.mutex_);
  admission_.leave(entry_);
}

std::size_t Admission::Ticket::take() {
  const std::lock_guard lock(admission_.mutex_);
  return std::exchange(entry_->news, 0);
}

void Admission::Ticket::give_back(std::size_t answer, std::optional<u64> used) {
  const std::lock_guard lock(admission_.mutex_);
  const u64 cost = entry_->costs[answer];
  --entry_->running;
  --entry_->client.running;
  --admission_.load_.running;
  entry_->cost -= cost;
  admission_.load_.cost -= cost;
  for (u64* served : {&entry_->served, &entry_->client.served})
    *served += used.value_or(cost) - std::min(cost, *served); // below 0 only where it was lifted
  admission_.grant();
}

void Admission::Ticket::want_no_more() {
  const std::lock_guard lock(admission_.mutex_);
  admission_.stop_wanting(*entry_);
}

bool Admission::Ticket::displaced() const {
  const std::lock_guard lock(admission_.mutex_);
  return entry_->displaced;
}

void Admission::Ticket::await(const std::function<void()>& check) {
  std::unique_lock lock(admission_.mutex_);
  while (entry_->waits()) {
    admission_.changed_.wait_for(lock, kCheckEvery);
    lock.unlock();
    check();
    lock.lock();
  }
  if (entry_->displaced) throw Full();
}

} // namespace talaria::gateway
