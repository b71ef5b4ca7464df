// What somebody who counts bytes of a response sees.
#include "gateway/event_stream.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "gateway/api_response.hpp"
#include "gateway/event_text.hpp"
#include "gateway/messages_writer.hpp"
#include "gateway/responses_writer.hpp"

namespace talaria::gateway {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t kRoom = 40;

ResponseShape shape(bool chat, std::size_t room, bool usage = false, std::size_t answers = 1) {
  return {chat, "a-model", answers, usage, room};
}

std::unique_ptr<AnswerWriter> writer(ResponseShape shape) {
  return std::make_unique<ResponseFormat>(std::move(shape));
}

std::vector<std::string> split(const std::string& stream) {
  std::vector<std::string> events;
  for (std::size_t at = 0; at < stream.size();) {
    const std::size_t end = stream.find("\n\n", at) + 2;
    events.push_back(stream.substr(at, end - at));
    at = end;
  }
  return events;
}

json parsed(const std::string& event) {
  BOOST_TEST_REQUIRE(event.starts_with("data: "));
  return json::parse(event.substr(6));
}

std::string text_in(const json& event) {
  const json& choice = event["choices"][0];
  return choice.contains("text") ? choice["text"].get<std::string>()
                                 : choice["delta"].value("content", "");
}

std::string text_of(const std::string& stream) {
  std::string text;
  for (const std::string& event : split(stream)) text += text_in(parsed(event));
  return text;
}

const std::vector<std::string> kPieces{"",         "a", " the",   "\n\n",   "\"\\\"",
                                       "\x01\x02", "é", "日本語", "\u2028", "    ",
                                       "</s>",     "😀", "\x7f",   "\t",     "sixteen chars .."};

} // namespace

BOOST_AUTO_TEST_SUITE(event_stream)

BOOST_AUTO_TEST_CASE(sizes_are_those_that_json_has) {
  for (const std::string& piece : kPieces)
    BOOST_TEST(escaped_size(piece) + 2 == json(piece).dump().size(), piece);
}

BOOST_AUTO_TEST_CASE(parts_are_whole_characters) {
  BOOST_TEST(first_that_fits("abcdef", 4) == "abcd");
  BOOST_TEST(first_that_fits("ab\"def", 3) == "ab");
  BOOST_TEST(first_that_fits("日本語", 7) == "日本");
  BOOST_TEST(first_that_fits("日本語", 1) == "日"); // at least one
  BOOST_TEST(first_that_fits("", 4).empty());
}

BOOST_AUTO_TEST_CASE(every_event_has_one_size) {
  for (const bool chat : {false, true})
    for (const bool usage : {false, true}) {
      ResponseFormat format(shape(chat, kRoom, usage, 12));
      std::set<std::size_t> sizes;
      const auto look = [&](const std::string& events) {
        for (const std::string& event : split(events)) sizes.insert(event.size());
      };
      for (const std::size_t index : {0, 11}) {
        look(format.opening(index));
        for (const std::string& piece : kPieces) look(format.text(index, piece));
        look(format.text(index, std::string(1000, '\n')));
        look(format.ending(index, pipeline::FinishReason::stop));
        look(format.ending(index, pipeline::FinishReason::length));
      }
      look(format.usage({1, 2}));
      look(format.usage({130'000, 9'999}));
      BOOST_TEST(sizes.size() == 1U);
      BOOST_TEST(*sizes.begin() == format.event_size());
    }
}

BOOST_AUTO_TEST_CASE(filled_events_say_the_same) {
  for (const bool chat : {false, true}) {
    ResponseFormat format(shape(chat, kRoom));
    std::string stream;
    std::string text;
    for (const std::string& piece : kPieces) {
      stream += format.text(0, piece);
      text += piece;
    }
    const std::string long_text = std::string(300, '"') + "日本語日本語";
    stream += format.text(0, long_text);
    BOOST_TEST(text_of(stream) == text + long_text);
  }
}

BOOST_AUTO_TEST_CASE(the_filler_is_random_and_of_characters_that_are_not_escaped) {
  ResponseFormat format(shape(true, kRoom));
  const std::string first = parsed(format.text(0, "a"))["obfuscation"];
  const std::string second = parsed(format.text(0, "a"))["obfuscation"];
  BOOST_TEST(first.size() == second.size());
  BOOST_TEST(first != second);
  BOOST_TEST(escaped_size(first) == first.size());
}

BOOST_AUTO_TEST_CASE(without_room_events_are_as_long_as_their_text) {
  ResponseFormat format(shape(true, 0));
  const std::string event = format.text(0, "abc");
  BOOST_TEST(!parsed(event).contains("obfuscation"));
  BOOST_TEST(format.text(0, "abcdef").size() == event.size() + 3);
}

BOOST_AUTO_TEST_CASE(whole_bodies_have_few_sizes) {
  const auto body = [](std::size_t length, std::size_t room) {
    WholeAnswer answer;
    answer.text = std::string(length, 'a');
    return ResponseFormat(shape(true, room)).whole({&answer, 1}, {1, length});
  };
  BOOST_TEST(body(0, kRoom).size() == 1024U);
  BOOST_TEST(body(500, kRoom).size() == 1024U);
  BOOST_TEST(body(5'000, kRoom).size() == 8192U);
  BOOST_TEST(json::parse(body(5'000, kRoom))["choices"][0]["message"]["content"] ==
             std::string(5'000, 'a'));
  BOOST_TEST(body(600, 0).size() == body(599, 0).size() + 1);
}

BOOST_AUTO_TEST_CASE(without_a_pace_events_go_out_as_they_come) {
  const EventStream::Clock::time_point start{};
  EventStream stream(writer(shape(true, kRoom)), milliseconds(0), start);
  BOOST_TEST(split(stream.due(start)).size() == 1U); // the opening
  stream.add(0, {"a", {}, {}});
  stream.add(0, {"b", {}, {}});
  BOOST_TEST(stream.pending());
  BOOST_TEST(split(stream.due(start)).size() == 2U);
  BOOST_TEST(stream.due(start).empty());
  stream.ended(0, pipeline::FinishReason::stop);
  BOOST_TEST(split(stream.due(start)).size() == 1U);
  BOOST_TEST(!stream.pending());
}

BOOST_AUTO_TEST_CASE(with_a_pace_every_tick_has_one_event_for_each_answer) {
  const EventStream::Clock::time_point start{};
  EventStream stream(writer(shape(false, kRoom, false, 2)), milliseconds(50), start);
  BOOST_TEST(stream.due(start + milliseconds(49)).empty());
  stream.add(0, {"a", {}, {}});
  stream.add(0, {"b", {}, {}});
  const std::string first = stream.due(start + milliseconds(51));
  BOOST_TEST(split(first).size() == 2U);
  BOOST_TEST(text_of(first) == "ab");
  BOOST_TEST(stream.due(start + milliseconds(99)).empty());
  const std::string silent = stream.due(start + milliseconds(100));
  BOOST_TEST(silent.size() == first.size());
  BOOST_TEST((stream.next_tick() == start + milliseconds(150)));
  // A late one does not bring two.
  stream.add(1, {"c", {}, {}});
  BOOST_TEST(stream.due(start + milliseconds(320)).size() == first.size());
}

BOOST_AUTO_TEST_CASE(with_a_pace_long_text_waits_and_the_end_comes_with_the_last_of_it) {
  const EventStream::Clock::time_point start{};
  EventStream stream(writer(shape(false, 10)), milliseconds(1), start);
  stream.add(0, {std::string(25, 'a'), {}, {}});
  stream.ended(0, pipeline::FinishReason::length);
  std::string all;
  for (int tick = 1; tick <= 3; ++tick) {
    BOOST_TEST(stream.pending());
    const std::string due = stream.due(start + milliseconds(tick));
    BOOST_TEST(split(due).size() == (tick < 3 ? 1U : 2U));
    all += due;
  }
  BOOST_TEST(text_of(all) == std::string(25, 'a'));
  BOOST_TEST(!stream.pending());
  BOOST_TEST(stream.due(start + milliseconds(9)).empty());
}

/// While its text comes, whatever of it: one size. At its ends: sizes of whole bodies.
template <class Writer>
void check_sizes_of(const char* delta) {
  Writer format(shape(true, kRoom));
  std::set<std::size_t> sizes;
  const auto look = [&](const std::string& events) {
    for (const std::string& event : split(events)) {
      const bool is_delta = event.starts_with("event: " + std::string(delta) + "\n");
      if (is_delta) sizes.insert(event.size());
      BOOST_TEST((is_delta || event.size() % 128 == 0), event);
    }
  };
  look(format.opening(0));
  for (const std::string& piece : kPieces) look(format.piece(0, {piece, {}, {}}));
  look(format.piece(0, {std::string(1000, '\n'), {}, {}}));
  look(format.ending(0, pipeline::FinishReason::stop));
  look(format.closing({3, 700, 0}));
  BOOST_TEST(sizes.size() == 1U);
}

BOOST_AUTO_TEST_CASE(events_of_the_other_dialects_have_one_size_too) {
  check_sizes_of<ResponsesWriter>("response.output_text.delta");
  check_sizes_of<MessagesWriter>("content_block_delta");
}

BOOST_AUTO_TEST_CASE(thinking_is_an_item_of_its_own) {
  AnswerPiece thought;
  thought.reasoning = "Hm.";
  WholeAnswer whole;
  whole.reasoning = "Hm.";
  whole.text = "Yes.";
  ResponsesWriter responses(shape(true, 0));
  std::string items = responses.opening(0);
  for (const AnswerPiece& piece : {thought, AnswerPiece{"Yes.", {}, {}}})
    items += responses.piece(0, piece);
  BOOST_TEST(items.find("response.reasoning_text.delta") != std::string::npos);
  BOOST_TEST(items.find("response.reasoning_text.done") < items.find("response.output_text.delta"));
  const json response = json::parse(ResponsesWriter(shape(true, 0)).whole({&whole, 1}, {}));
  BOOST_TEST(response["output"][0]["content"][0]["text"] == "Hm.");
  BOOST_TEST(response["output"][1]["content"][0]["text"] == "Yes.");
  const json message = json::parse(MessagesWriter(shape(true, 0)).whole({&whole, 1}, {}));
  BOOST_TEST(message["content"][0]["thinking"] == "Hm.");
  BOOST_TEST(message["content"][1]["text"] == "Yes.");
  const json chat = json::parse(ResponseFormat(shape(true, 0)).whole({&whole, 1}, {}));
  BOOST_TEST(chat["choices"][0]["message"]["reasoning_content"] == "Hm.");
}

BOOST_AUTO_TEST_CASE(text_behind_a_call_is_an_item_of_its_own) {
  MessagesWriter messages(shape(true, 0));
  ResponsesWriter responses(shape(true, 0));
  AnswerPiece piece{"Look: ", {}, {{"id", "f", "{\"a\":", true, false}}};
  const AnswerPiece rest{"", {}, {{"", "", "1}", false, true}}};
  const AnswerPiece text{"Done.", {}, {}};
  for (AnswerWriter* each : std::initializer_list<AnswerWriter*>{&messages, &responses}) {
    std::string stream = each->opening(0);
    for (const AnswerPiece& next : {piece, rest, text}) stream += each->piece(0, next);
    stream += each->ending(0, pipeline::FinishReason::stop);
    stream += each->closing({1, 2, 0});
    std::vector<std::string> types;
    std::string arguments;
    for (const std::string& event : split(stream)) {
      const json object = json::parse(event.substr(event.find("data: ") + 6));
      types.push_back(object["type"]);
      arguments += object.value("/delta/partial_json"_json_pointer, std::string());
      if (types.back() == "response.function_call_arguments.done")
        arguments += object["arguments"].get<std::string>();
    }
    BOOST_TEST(arguments == "{\"a\":1}");
    BOOST_TEST(
        std::count(types.begin(), types.end(),
                   each == &messages ? "content_block_start" : "response.output_item.added") == 3);
    BOOST_TEST(types.back() == (each == &messages ? "message_stop" : "response.completed"));
  }
}

// An answer's first text may come before anybody asks for what is due.
BOOST_AUTO_TEST_CASE(events_are_numbered_in_the_order_they_go_out) {
  const EventStream::Clock::time_point start{};
  EventStream stream(std::make_unique<ResponsesWriter>(shape(true, 0)), milliseconds(0), start);
  stream.add(0, {"a", {}, {}});
  stream.ended(0, pipeline::FinishReason::stop);
  std::string out = stream.due(start);
  out += stream.writer().closing({1, 1, 0});
  u64 number = 0;
  for (const std::string& event : split(out))
    BOOST_TEST(json::parse(event.substr(event.find("data: ") + 6))["sequence_number"] == number++);
  BOOST_TEST(number == 9U);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
