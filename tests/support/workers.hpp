#pragma once

#include <utility>

#include "actors/worker_interface.hpp"

namespace talaria::tests {

/// The behaviour of a worker in front of `honest`: its own handlers for products and hints,
/// everything else passed through.
template <class OnTensor, class OnHint>
worker::Worker::behavior_type in_front_of(worker::Worker::pointer self, worker::Worker honest,
                                          OnTensor on_tensor, OnHint on_hint) {
  return {std::move(on_tensor),
          [=](const worker::Dispute& dispute) { return self->delegate(honest, dispute); },
          std::move(on_hint),
          [=](const remo::WeightRequest& request) { return self->delegate(honest, request); }};
}

/// The same with hints passed through too.
template <class OnTensor>
worker::Worker::behavior_type in_front_of(worker::Worker::pointer self, worker::Worker honest,
                                          OnTensor on_tensor) {
  return in_front_of(self, honest, std::move(on_tensor), [=](const remo::HintRequest& request) {
    return self->delegate(honest, request);
  });
}

} // namespace talaria::tests
