#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attest/binding/document.hpp"
#include "attest/collateral/bundle.hpp"
#include "attest/command/attest_command.hpp"
#include "attest/command/files.hpp"
#include "attest/fetch/collateral_fetcher.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr int kUndecidedStatus = 6;

FetchOptions patient_options(bool offline) {
  FetchOptions options;
  options.offline = offline;
  options.now = [] { return std::chrono::floor<Seconds>(std::chrono::system_clock::now()); };
  options.pause = [](std::chrono::seconds time) {
    print_log("talaria: the service is busy; next attempt in {} s", time.count());
    std::this_thread::sleep_for(time);
  };
  return options;
}

EvidenceDocument document_in(const std::filesystem::path& file) {
  auto document = parse_document(as_text(read_small_file(file, kMaxDocumentBytes)));
  if (!document)
    throw Error(Errc::usage, fmt::format("{}: {}", file.string(), document.refusal().reason));
  return std::move(*document);
}

void print_items(const std::vector<FetchedItem>& items, bool json) {
  auto list = nlohmann::ordered_json::array();
  for (const FetchedItem& each : items) {
    list.push_back({{"item", each.item}, {"from", to_string(each.from)}});
    if (!each.problem.empty()) list.back()["problem"] = each.problem;
    if (!json)
      print_out("{:<12} {}{}\n", each.item, to_string(each.from),
                each.problem.empty() ? "" : ": " + each.problem);
  }
  if (json) print_out("{}\n", list.dump());
}

} // namespace

int fetch_collateral(const FetchCommandOptions& options) {
  EvidenceDocument document = document_in(options.evidence);
  const auto folder = options.folder.empty() ? CollateralFolder::usual() : options.folder;
  if (folder.empty())
    throw Error(Errc::usage, "neither HOME nor XDG_CACHE_HOME is set; name a folder by --cache");
  const auto client = tls_https_client();
  CollateralFetcher fetcher(*client, CollateralFolder(folder), patient_options(options.offline));
  const auto items = fetcher.complete(document.evidence);
  if (items.empty())
    throw Error(Errc::usage, options.evidence.string() + ": no report or quote can be read there");
  print_items(items, options.json);
  int status = 0;
  for (const FetchedItem& each : items)
    if (each.from == FetchedItem::From::nowhere) status = kUndecidedStatus;
  if (!options.output.empty()) {
    Bundle bundle;
    bundle.add(document.evidence);
    const std::vector<u8> tar = bundle.to_tar();
    write_result(options.output, as_text(tar));
  }
  return status;
}

} // namespace talaria::attest
