// Starts the program again under valgrind, before anything else happens in it.
#include <unistd.h>
#include <valgrind/valgrind.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

std::vector<std::string> own_arguments() {
  std::vector<std::string> out;
  std::FILE* file = std::fopen("/proc/self/cmdline", "rb");
  if (file == nullptr) return out;
  std::string word;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    if (c != 0) {
      word.push_back(static_cast<char>(c));
      continue;
    }
    out.push_back(word);
    word.clear();
  }
  std::fclose(file);
  return out;
}

[[maybe_unused]] const bool started = [] {
  if (RUNNING_ON_VALGRIND != 0) return true;
  // Errors are counted by the tests; where they are is printed for those that should be none.
  std::vector<std::string> words{"valgrind",         "--tool=memcheck", "--quiet",
                                 "--error-limit=no", "--leak-check=no", "--undef-value-errors=yes",
                                 "--fair-sched=yes"};
  char program[PATH_MAX] = {};
  if (::readlink("/proc/self/exe", program, sizeof program - 1) < 0) std::abort();
  words.emplace_back(program);
  const auto arguments = own_arguments();
  if (!arguments.empty()) words.insert(words.end(), arguments.begin() + 1, arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp("valgrind", argv.data());
  std::perror("this test needs valgrind (scripts/dependencies)");
  std::exit(1);
}();

} // namespace
