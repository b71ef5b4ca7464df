#include "planner/servers.hpp"

#include <algorithm>

namespace talaria::planner {

namespace {

double within(const Window& window, double begin, double end) {
  return std::max(0.0, std::min(end, window.end) - std::max(begin, window.begin));
}

} // namespace

Server::Service Server::serve(double time, double busy, double later, double ahead,
                              const Window& window) {
  const double idle = std::max(0.0, time - free_);
  const double caught_up = std::min(idle, put_off_);
  counted_ += within(window, free_, free_ + caught_up);
  put_off_ += later - caught_up;
  Service service{std::max(time, free_), std::max(0.0, put_off_ - ahead)};
  put_off_ -= service.caught_up;
  const double end = service.begin + busy - later + service.caught_up;
  counted_ += within(window, service.begin, end);
  free_ = end;
  return service;
}

void Server::count(double begin, double seconds, const Window& window) {
  counted_ += within(window, begin, begin + seconds);
}

double Server::busy(const Window& window) const {
  return counted_ + within(window, free_, free_ + put_off_);
}

} // namespace talaria::planner
