#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <span>
#include <string>

#include "transport/wire_codec.hpp"
#include "wire.capnp.h"

/// What the two files of the codec share; for nobody else, so that Cap'n Proto stays in them.
namespace talaria::transport {

constexpr std::size_t kMaxMessage = 240; ///< a line of a log

[[noreturn]] void malformed(const std::string& what);

/// What a peer wrote for a log or a table: one line of printable ASCII, at most `most` characters.
std::string printable(capnp::Text::Reader text, std::size_t most);

/// The peer's code is a word of its text and nothing else: all failures of a peer are one code
/// here, so that none of them can pass for what this side has found out.
Error read_failure(wire::Failure::Reader in);

Beat read_beat(wire::Beat::Reader in);

OutFrame finish(capnp::MessageBuilder& message, remo::SharedBytes payload);

void no_payload(std::size_t bytes);

/// Calls `read` with the Frame in `head`; Cap'n Proto's complaints become Error{verification}.
template <class Read>
auto with_frame(std::span<const u8> head, Read&& read) {
  const std::size_t words = head.size() / sizeof(capnp::word);
  capnp::ReaderOptions options;
  options.traversalLimitInWords = 4 * words + 64; // a hello reads its lists more than once
  options.nestingLimit = 8;
  try {
    capnp::FlatArrayMessageReader message(
        kj::arrayPtr(reinterpret_cast<const capnp::word*>(head.data()), words), options);
    return read(message.getRoot<wire::Frame>());
  } catch (const kj::Exception&) { // its text may quote the peer
    malformed("the head is no Cap'n Proto message of the expected form");
  }
}

} // namespace talaria::transport
