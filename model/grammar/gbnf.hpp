#pragma once

#include <cstddef>
#include <string_view>

#include "model/grammar/expression.hpp"

namespace talaria::model::grammar {

/// The longest grammar that is read, in bytes.
inline constexpr std::size_t kLongestGrammar = std::size_t{64} << 10;

/// A context-free grammar as llama.cpp writes them (GBNF): NAME ::= ALTERNATIVE | ..., of which
/// each is a row of "texts", [classes] of characters, '.', names of rules and (groups), with * + ?
/// {m} {m,} {m,n} behind any of them and # before comments. A rule ends where the next one begins.
/// In texts and classes \n \r \t \\ \" \] \[ \- \^ \xHH \uHHHH \UHHHHHHHH are one character each.
/// The rule `root` says what a text has to be; without it, `start`.
/// @throws Error{usage} naming the line, and the sign or the rule that is wrong
Rules gbnf_rules(std::string_view grammar);

} // namespace talaria::model::grammar
