#include "connect/receipt_store.hpp"

#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/private_file.hpp"

namespace talaria::connect {

namespace fs = std::filesystem;

ReceiptStore::ReceiptStore(ReceiptOptions options, Log log)
    : options_(std::move(options)), log_(std::move(log)) {
  std::error_code error;
  fs::create_directories(options_.folder.parent_path(), error); // mkdir says what is wrong
  if (::mkdir(options_.folder.c_str(), 0700) != 0 && errno != EEXIST)
    throw Error(Errc::io, fmt::format("{}: the folder of receipts cannot be made: {}",
                                      options_.folder.string(), std::strerror(errno)));
  struct stat found {};
  if (::stat(options_.folder.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
    throw Error(Errc::io, options_.folder.string() + ": is no folder for receipts");
  if (found.st_uid != ::geteuid() || (found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    throw Error(Errc::io, options_.folder.string() +
                              ": others may write there; receipts need a folder of your own "
                              "(chmod 700)");
}

void ReceiptStore::write(const std::string& name, const std::string& content) {
  try {
    replace_private_file(options_.folder / name, content + "\n");
  } catch (const Error& error) {
    log_(fmt::format("receipt: {}", error.what()));
  }
}

void ReceiptStore::keep(const attest::SignedReceipt& receipt, const attest::ReceiptRecord& record) {
  // Names of parsed fields alone: nothing that a server says becomes a path.
  write(fmt::format("{}-{:010}.json", to_hex(receipt.receipt.chain), receipt.receipt.number),
        attest::to_json(record));
}

void ReceiptStore::refuse(const attest::ReceiptRecord& record, const std::string& why) {
  const Sha256Digest digest = sha256(attest::as_bytes(record.jws));
  const std::string name = fmt::format("refused-{}.json", to_hex(digest).substr(0, 16));
  constexpr u64 kMostRefused = 100; // a server that lies shall not fill the disk
  {
    const std::lock_guard lock(mutex_);
    if (++refused_ > kMostRefused) return;
  }
  write(name, attest::to_json(record));
  log_(fmt::format("receipt: refused: {}; kept as {}", why, name));
}

bool ReceiptStore::wants_evidence(const std::string& key_id) {
  const std::lock_guard lock(mutex_);
  return keys_.insert(key_id).second &&
         !fs::exists(options_.folder / ("evidence-" + key_id + ".json"));
}

void ReceiptStore::keep_evidence(const std::string& key_id, const std::string& document) {
  write("evidence-" + key_id + ".json", document);
}

} // namespace talaria::connect
