#include "model/unicode.hpp"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uclean.h>

#include "core/error.hpp"
#include "core/wiping_blocks.hpp"
#include "model/utf8.hpp"

namespace talaria::model::unicode {

namespace {

void check(UErrorCode status, const char* what) {
  if (U_FAILURE(status))
    throw Error(Errc::internal, std::string("ICU could not ") + what + ": " + u_errorName(status));
}

const icu::Normalizer2& normalizer(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* found = nullptr;
  switch (form) {
  case NormalForm::nfc:
    found = icu::Normalizer2::getNFCInstance(status);
    break;
  case NormalForm::nfd:
    found = icu::Normalizer2::getNFDInstance(status);
    break;
  case NormalForm::nfkc:
    found = icu::Normalizer2::getNFKCInstance(status);
    break;
  case NormalForm::nfkd:
    found = icu::Normalizer2::getNFKDInstance(status);
    break;
  }
  check(status, "load its normalisation data");
  return *found;
}

icu::StringPiece piece(std::string_view text) {
  return {text.data(), static_cast<int32_t>(text.size())};
}

} // namespace

bool wipe_what_icu_frees() noexcept {
  UErrorCode status = U_ZERO_ERROR;
  u_setMemoryFunctions(
      nullptr, [](const void*, size_t bytes) { return take_block(bytes); },
      [](const void*, void* block, size_t bytes) { return resize_block(block, bytes); },
      [](const void*, void* block) { give_block(block); }, &status);
  return U_SUCCESS(status);
}

std::string normalize(std::string_view text, NormalForm form) {
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  normalizer(form).normalizeUTF8(0, piece(text), sink, nullptr, status);
  check(status, "normalise text");
  return out;
}

std::string upper(std::string_view text) {
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8ToUpper("", 0, piece(text), sink, nullptr, status);
  check(status, "change case");
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8ToLower("", 0, piece(text), sink, nullptr, status);
  check(status, "change case");
  return out;
}

bool is_white_space(char32_t c) noexcept {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE) != 0;
}

bool is_word(char32_t c) noexcept {
  const auto point = static_cast<UChar32>(c);
  return u_hasBinaryProperty(point, UCHAR_ALPHABETIC) != 0 ||
         u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL) != 0 ||
         (U_GET_GC_MASK(point) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

bool is_decimal(char32_t c) noexcept {
  return u_charType(static_cast<UChar32>(c)) == U_DECIMAL_DIGIT_NUMBER;
}

bool is_digit(char32_t c) noexcept {
  const auto type = u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE);
  return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}

bool is_numeric(char32_t c) noexcept {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE) != U_NT_NONE;
}

bool is_letter(char32_t c) noexcept {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_L_MASK) != 0;
}

bool is_mark(char32_t c) noexcept {
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_M_MASK) != 0;
}

bool is_nonspacing_mark(char32_t c) noexcept {
  return u_charType(static_cast<UChar32>(c)) == U_NON_SPACING_MARK;
}

bool is_control(char32_t c) noexcept {
  constexpr uint32_t kOther = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK;
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & kOther) != 0;
}

bool is_cased(std::string_view text, bool upper) noexcept {
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Step next = utf8::step(text, at);
    const auto point = static_cast<UChar32>(next.code_point);
    const bool is_upper = u_hasBinaryProperty(point, UCHAR_UPPERCASE) != 0;
    const bool is_lower = u_hasBinaryProperty(point, UCHAR_LOWERCASE) != 0;
    if (u_charType(point) == U_TITLECASE_LETTER || (upper ? is_lower : is_upper)) return false;
    any |= upper ? is_upper : is_lower;
    at += next.length;
  }
  return any;
}

std::string version() {
  UVersionInfo version;
  u_getUnicodeVersion(version);
  return std::to_string(version[0]) + "." + std::to_string(version[1]);
}

bool is_boundary_before(char32_t c, NormalForm form) {
  return normalizer(form).hasBoundaryBefore(static_cast<UChar32>(c)) != 0;
}

bool is_printable(char32_t c) noexcept {
  return c == U' ' || (U_GET_GC_MASK(static_cast<UChar32>(c)) & (U_GC_C_MASK | U_GC_Z_MASK)) == 0;
}

} // namespace talaria::model::unicode
