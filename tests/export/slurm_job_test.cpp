// The script of a heterogeneous job, run with programs that stand in for Slurm's.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "export/slurm.hpp"
#include "tests/export/export_fixture.hpp"
#include "tests/export/read_back.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

namespace fs = std::filesystem;

void add_program(const fs::path& file, const std::string& text) {
  std::ofstream(file) << "#!/bin/bash\n" << text;
  fs::permissions(file, fs::perms::owner_all);
}

/// A step is a task of its own, and srun kills it when it gets a signal, as Slurm's does. The
/// gateway's waits until both workers run and does what $GATEWAY says; the first start of worker 2
/// fails. Tasks tell how they end.
constexpr const char* kSrun = R"(for word in "$@"; do
  case $word in --het-group=*) group=${word#*=} ;; --job-name=*) name=${word#*=} ;; esac
done
echo "$*" >>"$LOG/args-$group"
task() {
  trap "echo $1 >>'$LOG/ends'; exit 0" TERM
  touch "$LOG/up-$group"
  if [[ $group == 0 ]]; then
    until [[ -e $LOG/up-1 && -e $LOG/up-2 ]]; do /bin/sleep 0.01; done
    if [[ $GATEWAY == fails ]]; then exit 3; fi
    kill -s "$GATEWAY" "$JOB"
  fi
  while :; do /bin/sleep 0.01; done
}
if [[ $group == 2 && ! -e $LOG/failed ]]; then touch "$LOG/failed"; exit 1; fi
task "step-$group" &
task=$!
trap 'kill -KILL "$task"; echo "killed $group" >>"$LOG/ends"; exit 137' TERM
echo "$task $name" >"$LOG/step-$group"
status=0
wait "$task" || status=$?
rm "$LOG/step-$group"
exit "$status"
)";
constexpr const char* kSqueue = "cat \"$LOG\"/step-* 2>/dev/null\nexit 0\n";
constexpr const char* kScancel = "[[ $1 == --signal=TERM ]] && kill -TERM \"$2\"\n";

struct Job {
  tests::TemporaryFolder folder;
  tests::Finished done;
  std::string file(const char* name) const { return tests::content(folder.path() / name); }
};

void run_job(Job& job, const std::string& gateway) {
  const fs::path root = job.folder.path();
  const auto cluster = tests::cluster_with("  - { name: a, address: host-a:7600, layers: 0-3 }\n"
                                           "  - { name: b, address: host-b:7600, layers: 4-7 }\n");
  for (const auto& file : slurm_files(cluster, {})) std::ofstream(root / file.path) << file.text;
  fs::create_directory(root / "bin");
  add_program(root / "bin/srun", kSrun);
  add_program(root / "bin/squeue", kSqueue);
  add_program(root / "bin/scancel", kScancel);
  add_program(root / "bin/scontrol",
              "if [[ $1 == show ]]; then echo \"$3\"; else echo \"$*\" >\"$LOG/scontrol\"; fi\n");
  add_program(root / "bin/sleep", "exec /bin/sleep 0.01\n"); // pauses between starts
  const std::string script =
      "export LOG='" + root.string() + "' GATEWAY=" + gateway + " PATH='" + root.string() +
      "/bin:/usr/bin:/bin' JOB=$$ SLURM_JOB_ID=7 "
      "SLURM_SUBMIT_DIR='" +
      root.string() +
      "' SLURM_JOB_NODELIST_HET_GROUP_1=n1 SLURM_JOB_NODELIST_HET_GROUP_2=n2\n"
      "exec bash \"$LOG/cluster.sbatch\"";
  job.done = tests::run_program({"/bin/bash", "-c", script});
}

} // namespace

BOOST_AUTO_TEST_CASE(a_job_that_is_told_to_end_lets_the_gateway_end_first) {
  Job job;
  run_job(job, "TERM");
  BOOST_TEST(job.done.status == 0, job.done.err);
  const std::string ends = job.file("ends"); // the gateway's first, those of workers in any order
  BOOST_TEST((ends == "step-0\nstep-1\nstep-2\n" || ends == "step-0\nstep-2\nstep-1\n"), ends);
  BOOST_TEST(job.file("scontrol").empty());
  // The nodes that Slurm chose, at ports that do not meet; worker 2 was started twice.
  const std::string pipeline = job.file("run-7.yaml");
  BOOST_TEST(pipeline.find("n1:7600") != pipeline.npos, pipeline);
  BOOST_TEST(pipeline.find("n2:7601") != pipeline.npos, pipeline);
  BOOST_TEST(pipeline.find("tls_name: host-a") != pipeline.npos, pipeline);
  const std::string starts = job.file("args-2");
  BOOST_TEST(std::count(starts.begin(), starts.end(), '\n') == 2);
  BOOST_TEST(starts.find("talaria-worker --listen 0.0.0.0:7601") != starts.npos, starts);
  BOOST_TEST(job.done.err.find("b ended with status 1") != std::string::npos, job.done.err);
}

BOOST_AUTO_TEST_CASE(a_job_whose_time_is_over_is_requeued) {
  Job job;
  run_job(job, "USR1");
  BOOST_TEST(job.done.status == 0, job.done.err);
  const std::string ends = job.file("ends"); // the gateway's first, those of workers in any order
  BOOST_TEST((ends == "step-0\nstep-1\nstep-2\n" || ends == "step-0\nstep-2\nstep-1\n"), ends);
  BOOST_TEST(job.file("scontrol") == "requeue 7\n");
}

BOOST_AUTO_TEST_CASE(a_gateway_that_cannot_start_ends_the_job_with_its_status) {
  Job job;
  run_job(job, "fails");
  BOOST_TEST(job.done.status == 3, job.done.err);
  const std::string args = job.file("args-0");
  BOOST_TEST(std::count(args.begin(), args.end(), '\n') == 1); // status 3 stays wrong
  BOOST_TEST(job.file("scontrol").empty());
}

} // namespace talaria
