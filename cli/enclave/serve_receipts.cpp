#include "cli/enclave/serve_receipts.hpp"

namespace talaria::cli {

std::shared_ptr<attest::ReceiptSigner> receipt_signer(const config::Serve& serve) {
  if (!serve.receipts) return nullptr;
  return std::make_shared<attest::ReceiptSigner>(attest::ReceiptKey::create());
}

std::shared_ptr<gateway::ReceiptBook> receipt_book(const config::PipelineConfig& settings,
                                                   const attest::Attester& attester,
                                                   std::shared_ptr<attest::ReceiptSigner> signer,
                                                   const std::string& fingerprint) {
  const attest::Statement& about = attester.about();
  gateway::ReceiptBook::Options options;
  attest::Receipt& terms = options.terms;
  terms.service = about.service;
  terms.model = about.model;
  terms.model_root = about.model_root;
  terms.weights = about.weights;
  terms.scheme = about.scheme;
  terms.parameters = about.parameters;
  terms.integrity = about.integrity;
  terms.kv = settings.pipeline.kv.format;
  terms.software = about.software;
  terms.fingerprint = fingerprint;
  terms.simulated = attester.is_simulated();
  options.signer = std::move(signer);
  return std::make_shared<gateway::ReceiptBook>(std::move(options));
}

} // namespace talaria::cli
