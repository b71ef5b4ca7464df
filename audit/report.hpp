#pragma once

#include <string>
#include <vector>

#include "audit/attack.hpp"

namespace talaria::audit {

/// A row of the table.
struct SchemeRow {
  std::string name;
  std::string note; ///< one clause: what it is
  bool configured = false;
};

struct AuditReport {
  std::string model;
  std::string parameters; ///< name of the lattice parameters
  double core_svp_bits = 0;
  double quantum_core_svp_bits = 0;
  double fhe_standard_bits = 0;
  std::string configured; ///< name of the row that is judged
  bool quick = false;
  double seconds = 0;
  std::vector<AttackInfo> attacks;
  std::vector<SchemeRow> schemes;
  std::vector<AttackResult> cells; ///< several of one scheme and attack: of several layers
  double alarm_level = 0;          ///< p-value below which a cell of the configured row alarms
  std::vector<AttackResult> alarms;

  bool passed() const noexcept { return alarms.empty(); }
};

/// The table for a terminal: a row for each scheme, then every cell of the configured scheme with
/// its interval, chance level and p-value, then the verdict.
std::string report_table(const AuditReport& report);

/// One JSON object: model, parameters, schemes, attacks, cells, verdict.
std::string report_json(const AuditReport& report);

/// One self-contained HTML page.
std::string report_page(const AuditReport& report);

/// hits of trials; 0 of none.
double rate(std::size_t hits, std::size_t trials);
/// "0.02 %", "97.5 %"; as many digits as say something.
std::string percent(double fraction);
/// "0.31", "3e-07", "<1e-300".
std::string p_text(double p);

} // namespace talaria::audit
