// The parts of `talaria chat`, with scripted lines and answers.
#include "cli/chat/chat_session.hpp"

#include <boost/test/unit_test.hpp>

#include <deque>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cli/web/event_lines.hpp"
#include "cli/web/url.hpp"
#include "core/error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::cli {

namespace {

using Got = LineReader::Got;

/// Gives lines that were written down before; "^C" is an interrupt at the prompt.
class ScriptedLines final : public LineReader {
public:
  explicit ScriptedLines(std::deque<std::string> lines) : lines_(std::move(lines)) {}
  Got read(const std::string&, std::string& line) override {
    if (lines_.empty()) return Got::end;
    line = lines_.front();
    lines_.pop_front();
    return line == "^C" ? Got::interrupted : Got::line;
  }
  void interrupt() noexcept override { ++interrupts; }
  int interrupts = 0;

private:
  std::deque<std::string> lines_;
};

/// Repeats what it is asked, and notes every conversation it was shown.
class Parrot final : public Answerer {
public:
  AnswerFigures answer(const std::vector<model::ChatMessage>& messages,
                       const TakeText& text) override {
    std::string shown;
    for (const auto& message : messages) shown += message.role + "=" + message.content + "|";
    shown_conversations.push_back(shown);
    if (messages.back().content == "fail") throw Error(Errc::io, "the line is cut");
    if (during) during();
    if (!cancelled) text("re: " + messages.back().content);
    return {3, true, 0.25, 8.0, false};
  }
  void cancel() noexcept override { cancelled = true; }
  void rearm() noexcept override { cancelled = false; }
  std::string status() override { return "  answers  a parrot\n"; }

  std::vector<std::string> shown_conversations;
  std::function<void()> during;
  bool cancelled = false;
};

struct Spoken {
  std::string answers;
  std::string remarks;
  int status = 0;
  std::vector<std::string> shown;
};

ChatSession::Output into(Spoken& spoken) {
  return {[&](std::string_view text) { spoken.answers += text; },
          [&](std::string_view text) { spoken.remarks += text; }};
}

Spoken spoken_for(std::deque<std::string> lines, ChatSession::Options options = {"", true, true}) {
  ScriptedLines script(std::move(lines));
  Parrot parrot;
  Spoken spoken;
  ChatSession session(script, parrot, std::move(options), into(spoken));
  spoken.status = session.run();
  spoken.shown = parrot.shown_conversations;
  return spoken;
}

std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

} // namespace

BOOST_AUTO_TEST_SUITE(talaria_chat)

BOOST_AUTO_TEST_CASE(each_answer_sees_what_was_said_before) {
  const Spoken spoken = spoken_for({"one", "two"}, {"be brief", false, false});
  BOOST_TEST(spoken.answers == "re: one\nre: two\n");
  BOOST_TEST(spoken.remarks == "");
  BOOST_TEST(spoken.status == 0);
  BOOST_TEST_REQUIRE(spoken.shown.size() == 2U);
  BOOST_TEST(spoken.shown[1] == "system=be brief|user=one|assistant=re: one|user=two|");
}

BOOST_AUTO_TEST_CASE(lines_go_on_behind_a_backslash_and_inside_quotes) {
  const Spoken spoken = spoken_for({"one\\", "two", "\"\"\"", "/system is text here", "", "b\\",
                                    "\"\"\"", "", "  ", "\"\"\"", "cut by the end"});
  BOOST_TEST_REQUIRE(spoken.shown.size() == 3U);
  BOOST_TEST(spoken.shown[0] == "user=one\ntwo|");
  BOOST_TEST(spoken.shown[1].ends_with("|user=/system is text here\n\nb\\|"));
  BOOST_TEST(spoken.shown[2].ends_with("|user=cut by the end|"));
}

BOOST_AUTO_TEST_CASE(commands_change_what_is_said_next) {
  const Spoken spoken =
      spoken_for({"/system talk like a duck", "a", "/reset", "b", " /system ", "c", "//d"});
  BOOST_TEST_REQUIRE(spoken.shown.size() == 4U);
  BOOST_TEST(spoken.shown[0] == "system=talk like a duck|user=a|");
  BOOST_TEST(spoken.shown[1] == "system=talk like a duck|user=b|");
  BOOST_TEST(spoken.shown[2] == "user=b|assistant=re: b|user=c|");
  BOOST_TEST(spoken.shown[3].ends_with("|user=/d|"));
}

BOOST_AUTO_TEST_CASE(an_unknown_command_is_no_message) {
  const Spoken spoken = spoken_for({"/sytem x", "/help", "/status", "/quit", "never"});
  BOOST_TEST(spoken.shown.empty());
  for (const char* part : {"/sytem is no command", "/save FILE", "a parrot"})
    BOOST_TEST(spoken.remarks.find(part) != std::string::npos, part << " in " << spoken.remarks);
}

BOOST_AUTO_TEST_CASE(figures_follow_an_answer) {
  const Spoken spoken = spoken_for({"x"});
  BOOST_TEST(spoken.remarks.find("3 tokens, the first after 0.25 s, 8.0 per second\n") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_failure_takes_the_message_back) {
  const Spoken spoken = spoken_for({"fail", "then"});
  BOOST_TEST(spoken.remarks.find("the line is cut") != std::string::npos);
  BOOST_TEST_REQUIRE(spoken.shown.size() == 2U);
  BOOST_TEST(spoken.shown[1] == "user=then|");
  BOOST_CHECK_THROW(spoken_for({"fail"}, {"", false, false}), Error);
}

BOOST_AUTO_TEST_CASE(two_interrupts_in_a_row_leave_the_prompt) {
  const Spoken twice = spoken_for({"^C", "^C", "never"});
  BOOST_TEST(twice.status == 130);
  BOOST_TEST(twice.shown.empty());
  const Spoken apart = spoken_for({"begun \\", "^C", "x", "^C", "y"});
  BOOST_TEST(apart.status == 0);
  BOOST_TEST_REQUIRE(apart.shown.size() == 2U);
  BOOST_TEST(apart.shown[0] == "user=x|"); // what was begun before is dropped
}

BOOST_AUTO_TEST_CASE(an_interrupt_ends_the_answer_and_not_the_chat) {
  ScriptedLines lines({"one", "two"});
  Parrot parrot;
  Spoken spoken;
  ChatSession session(lines, parrot, {"", true, true}, into(spoken));
  parrot.during = [&] {
    if (parrot.shown_conversations.size() > 1) return;
    BOOST_TEST(session.interrupt());
    BOOST_TEST(!session.interrupt()); // the second one is the program's
  };
  BOOST_TEST(session.run() == 0);
  BOOST_TEST(lines.interrupts == 0);
  BOOST_TEST(spoken.answers == "\nre: two\n");
  BOOST_TEST(spoken.remarks.find("stopped") != std::string::npos);
  BOOST_TEST(parrot.shown_conversations.at(1) == "user=two|"); // nobody answered the first
  BOOST_TEST(session.interrupt());
  BOOST_TEST(lines.interrupts == 1);
}

BOOST_AUTO_TEST_CASE(an_end_from_outside_ends_answer_and_chat) {
  ScriptedLines lines({"one", "two"});
  Parrot parrot;
  Spoken spoken;
  ChatSession session(lines, parrot, {"", true, true}, into(spoken));
  parrot.during = [&] { session.end(); };
  BOOST_TEST(session.run() == 130);
  BOOST_TEST(parrot.shown_conversations.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_conversation_is_saved_for_its_owner_alone) {
  const tests::TemporaryFolder folder;
  const auto markdown = folder.path() / "talk.md";
  const auto json_file = folder.path() / "talk.json";
  const Spoken spoken =
      spoken_for({"/system s", "hi", "/save " + markdown.string(), "/save " + json_file.string(),
                  "/save " + markdown.string(), "/save", "/save /nowhere/x"});
  BOOST_TEST(content_of(markdown) == "## system\n\ns\n\n## user\n\nhi\n\n## assistant\n\nre: hi\n");
  const auto saved = nlohmann::json::parse(content_of(json_file));
  BOOST_TEST_REQUIRE(saved.size() == 3U);
  BOOST_TEST(saved[2]["role"] == "assistant");
  BOOST_TEST(saved[2]["content"] == "re: hi");
  using std::filesystem::perms;
  BOOST_TEST((std::filesystem::status(markdown).permissions() ==
              (perms::owner_read | perms::owner_write)));
  for (const char* part : {"it exists", "name a file", "/nowhere/x: cannot be written: "})
    BOOST_TEST(spoken.remarks.find(part) != std::string::npos, part);
}

BOOST_AUTO_TEST_CASE(an_answer_cannot_control_the_terminal) {
  BOOST_TEST(for_terminal("a\x1b]0;title\x07\tb\r\n\x7f") == "a]0;title\tb\n");
  BOOST_TEST(for_terminal("\xc2\x9b"
                          "31m\xc2\xa0"
                          "\xc3\xa4") == "31m\xc2\xa0\xc3\xa4");
  BOOST_TEST(for_terminal("\xc2") == "\xc2");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(web_client)

BOOST_AUTO_TEST_CASE(urls_are_read_as_people_write_them) {
  const Url plain = parse_url("http://127.0.0.1:8000/v1/", "--url");
  BOOST_TEST(!plain.tls);
  BOOST_TEST(plain.address.host == "127.0.0.1");
  BOOST_TEST(plain.address.port == 8000);
  BOOST_TEST(plain.path == "/v1");
  BOOST_TEST(plain.authority == "127.0.0.1:8000");
  const Url secure = parse_url("https://api.example.org", "--url");
  BOOST_TEST(secure.tls);
  BOOST_TEST(secure.address.port == 443);
  BOOST_TEST(secure.authority == "api.example.org");
  BOOST_TEST(secure.path == "");
  BOOST_TEST(parse_url("localhost:9", "x").address.port == 9);
  BOOST_TEST(parse_url("https://[::1]/v1", "x").address.port == 443);
  BOOST_TEST(parse_url("unix:/run/talaria", "x").socket == "/run/talaria");
  for (const char* bad : {"", "ftp://x:1", "http://", "http://u:p@h:1", "http://h:1/?q=1",
                          "http://h:99999", "https://a b", "unix:relative", "http://h:1/#x"})
    BOOST_CHECK_EXCEPTION(parse_url(bad, "--url"), Error, [](const Error& error) {
      return error.code() == Errc::usage && std::string(error.what()).starts_with("--url: ");
    });
}

BOOST_AUTO_TEST_CASE(events_are_taken_apart_wherever_the_bytes_are_cut) {
  const std::string stream = ": hello\r\n\r\ndata: one\n\nevent: x\nid: 4\ndata:two\ndata: lines\n"
                             "\r\n\ndata:\n\ndata: [DONE]\n\ndata: never\n\n";
  const std::vector<std::string> expected{"one", "two\nlines", "", "[DONE]"};
  for (const std::size_t size : {std::size_t{1}, std::size_t{3}, stream.size()}) {
    EventLines lines;
    std::vector<std::string> seen;
    const auto event = [&](const std::string& data) {
      seen.push_back(data);
      return data != "[DONE]";
    };
    bool more = true;
    for (std::size_t at = 0; at < stream.size() && more; at += size)
      more = lines.feed(std::string_view(stream).substr(at, size), event);
    BOOST_TEST(!more);
    BOOST_TEST(seen == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
