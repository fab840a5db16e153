// The `mirage` command line.
#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/address.h"
#include "base/version.h"
#include "client/commands/attach.h"
#include "client/commands/diagnose.h"
#include "client/commands/meta.h"
#include "client/commands/metrics.h"
#include "client/commands/plan.h"
#include "client/commands/simulate.h"
#include "client/exit_code.h"
#include "client/interruption.h"
#include "client/render/metric_report.h"
#include "client/render/terminal_text.h"
#include "client/sidecar_channel.h"
#include "client/standard_error.h"
#include "client/unknown_command.h"
#include "server/embedded.h"

namespace {

using mirage::client::AttachOptions;
using mirage::client::DiagnoseOptions;
using mirage::client::FamilyInputOptions;
using mirage::client::kFailed;
using mirage::client::kUsage;
using mirage::client::MetaOptions;
using mirage::client::MetricsOptions;
using mirage::client::PlanOptions;
using mirage::client::SimulateOptions;

// How long to wait for a sidecar that was named.
constexpr std::chrono::seconds kConnectTimeout{5};

// An empty value is a script's variable that was not set, hardly ever what was meant.
std::string NotEmpty(const std::string& text) { return text.empty() ? "must not be empty" : ""; }

std::string IsSidecar(const std::string& text) {
  return std::string(mirage::CheckAddress(text, /*to_listen=*/false).message());
}

std::string IsShare(const std::string& text) {
  double share = 0;
  const bool is_share = CLI::detail::lexical_cast(text, share) && share > 0 && share < 1;
  return is_share ? "" : "must lie between 0 and 1, as 0.95";
}

std::string IsSeed(const std::string& text) {
  const bool is_seed = !text.empty() && text.size() <= 19 &&
                       text.find_first_not_of("0123456789") == std::string::npos;
  return is_seed ? "" : "must be a whole number below 10^19";
}

void AddAttach(CLI::App& app, AttachOptions& options, std::string& input_format) {
  CLI::App* attach =
      app.add_subcommand("attach", "Counterparts, intervals and mirage risk of a finished run");
  attach->footer(
      "Examples:\n"
      "  mirage attach results/                        every run below, as a table\n"
      "  mirage attach results/my-model --all-metrics  every counterpart\n"
      "  mirage attach results/ --output-format json -o report.json\n"
      "  mirage attach results/ --samples              every sample's scores, too\n"
      "  mirage attach results/ --evidence hooks/      with log-probabilities of the gold answers\n"
      "\n"
      "Beside each run it writes mirage_<date>.json, with the same content as\n"
      "--output-format json. The originals are never changed.");
  attach->add_option("RUN", options.paths, "What the harness wrote: a file or a folder")
      ->required();
  attach->add_option("--input-format", input_format, "Format of the runs; found by itself")
      ->check(CLI::IsMember({"lm-eval"}));
  attach->add_option("--output-format", options.output_format, "table, json, markdown or csv")
      ->check(CLI::IsMember({"table", "json", "markdown", "csv"}))
      ->capture_default_str();
  attach->add_option("-o,--output", options.output, "Write the answer here, not to standard output")
      ->check(CLI::Validator(NotEmpty, "FILE"));
  attach->add_flag("--all-metrics", options.all_metrics, "Show every counterpart in the table");
  CLI::Option* no_write =
      attach->add_flag("--no-write", options.no_write, "Write no files beside the runs");
  attach
      ->add_option("--write-dir", options.write_dir,
                   "Write derived files to this folder, made if missing")
      ->check(CLI::Validator(NotEmpty, "FOLDER"))
      ->excludes(no_write);
  attach
      ->add_flag("--samples", options.samples,
                 "Also write mirage_samples_<task>_<date>.jsonl, every sample's scores")
      ->excludes(no_write);
  attach
      ->add_option("--tokenizer", options.tokenizer,
                   "Unit of the edit distance: codepoints, bytes or words")
      ->check(CLI::IsMember({"codepoints", "characters", "bytes", "words"}))
      ->capture_default_str();
  attach
      ->add_option("--evidence", options.evidence,
                   "Look here, too, for mirage_evidence_<task>_<date>.jsonl, which hooks recorded; "
                   "those beside a run are always read (repeatable)")
      ->check(CLI::Validator(NotEmpty, "FOLDER"))
      ->allow_extra_args(false);
  attach->add_option("--level", options.level, "Coverage of intervals, between 0 and 1")
      ->check(CLI::Validator(IsShare, "0..1"))
      ->capture_default_str();
  attach
      ->add_option("--interval", options.interval,
                   "Interval of shares of right answers: auto chooses by the counts, else wilson, "
                   "clopper_pearson, beta_posterior, student_t or normal")
      ->check(CLI::IsMember(
          {"auto", "wilson", "clopper_pearson", "beta_posterior", "student_t", "normal"}))
      ->capture_default_str();
  attach->add_option("--seed", options.seed, "Seed of every bootstrap")
      ->check(CLI::Validator(IsSeed, "0..10^19"))
      ->capture_default_str();
  attach
      ->add_option("--max-row-mib", options.max_row_mib,
                   "Refuse a row larger than this; one of more than 128 MiB does not fit into "
                   "a message to the sidecar")
      ->check(CLI::Range(uint64_t{1}, uint64_t{128}))
      ->capture_default_str();
  attach
      ->add_option("--sidecar", options.sidecar,
                   "Use the miraged at this address instead of the one built in")
      ->check(CLI::Validator(IsSidecar, "127.0.0.1:PORT|unix:PATH"));
  attach->add_flag("--quiet", options.quiet, "No progress and no notes on standard error");
}

// What the commands about families read; `does` begins a sentence with what is done to a metric.
void AddFamilyInput(CLI::App& app, FamilyInputOptions& options, std::string_view does) {
  app.add_option("RUN", options.runs,
                 "What a harness wrote, a file or a folder; several runs in a folder are all "
                 "taken")
      ->check(CLI::Validator(NotEmpty, ""));
  const auto repeated = [](CLI::Option* option) { return option->allow_extra_args(false); };
  repeated(app.add_option("--series", options.series,
                          "A table of numbers; may be given several times, read as one"))
      ->check(CLI::Validator(NotEmpty, "FILE"));
  repeated(app.add_option("--scales", options.scales,
                          "How large the runs' models are; may be given several times"))
      ->check(CLI::Validator(NotEmpty, "FILE"));
  repeated(app.add_option("--evidence", options.evidence,
                          "Look here, too, for mirage_evidence_<task>_<date>.jsonl, which "
                          "hooks recorded; may be given several times"))
      ->check(CLI::Validator(NotEmpty, "FOLDER"));
  repeated(app.add_option("--companion", options.companions,
                          "The counterpart of the first task is in the second, over the same "
                          "documents; found by itself where they are scored answers"))
      ->check(CLI::Validator(NotEmpty, "TASK=TASK"));
  repeated(app.add_option("--stratum", options.strata,
                          "A field of the documents, nested ones with dots: breaks are also "
                          "looked for among the samples of each of its values; may be given "
                          "several times"))
      ->check(CLI::Validator(NotEmpty, "FIELD"));
  app.add_option("--metric-properties", options.metric_properties,
                 "YAML that declares metrics of your own: direction, sharp or continuous, "
                 "counterparts")
      ->check(CLI::Validator(NotEmpty, "FILE"));
  repeated(
      app.add_option("--metric", options.metrics,
                     fmt::format("{} this sharp metric only; may be given several times", does)))
      ->check(CLI::Validator(NotEmpty, "NAME"));
  app.add_option("--tokenizer", options.tokenizer,
                 "Unit of generated text, in distances and positions: codepoints, bytes or words")
      ->check(CLI::IsMember({"codepoints", "characters", "bytes", "words"}))
      ->capture_default_str();
}

void AddDiagnose(CLI::App& app, DiagnoseOptions& options) {
  CLI::App* diagnose =
      app.add_subcommand("diagnose", "Which sudden rises over a family are the metric's doing");
  diagnose->footer(
      "Examples:\n"
      "  mirage diagnose runs/ --scales models.csv     a verdict on every sharp metric in them\n"
      "  mirage diagnose runs/ --scales models.csv --companion add4=add4_ll\n"
      "  mirage diagnose runs/ --scales models.csv --stratum subject\n"
      "  mirage diagnose --series published.csv        the same from a table of numbers\n"
      "  mirage diagnose --series published.csv --metric exact_match --plot curves.svg\n"
      "  mirage diagnose --series published.csv --hold-out 2 --plot -\n"
      "  mirage diagnose --series published.csv --predict-at 70e9 --reach 0.5\n"
      "  mirage diagnose --series published.csv --output-format vega-lite -o curves.vl.json\n"
      "  mirage diagnose --series published.csv --metric-properties mine.yaml\n"
      "                                                metrics that the registry does not know\n"
      "\n"
      "A table of scales is CSV with a header: model,parameters and, where known, tokens, flops,\n"
      "  loss, family, seed, step. Without one, what the runs say of themselves is taken.\n"
      "A table of series is CSV with a header, one row a number, columns in any order:\n"
      "  task,model,scale,metric,value and, where known, family, stderr, n, target_length,\n"
      "  shots, temperature, chance, filter, seed, tokens, flops, loss.\n"
      "The counterparts' numbers are rows of their own: `mirage metrics swap NAME` says which\n"
      "ones there can be. Verdicts: MIRAGE, RESOLUTION_LIMITED, BREAK_SURVIVES, SMOOTH, MIXED,\n"
      "INSUFFICIENT.");
  AddFamilyInput(*diagnose, options, "Diagnose");
  const auto repeated = [](CLI::Option* option) { return option->allow_extra_args(false); };
  diagnose
      ->add_option("--x-axis", options.x_axis,
                   "parameters (the column scale), flops, tokens or loss")
      ->check(CLI::IsMember({"parameters", "flops", "tokens", "loss"}))
      ->capture_default_str();
  diagnose
      ->add_option("--hold-out", options.hold_out,
                   "Largest scales to keep out of every fit and predict")
      ->check(CLI::Range(uint32_t{0}, uint32_t{2}))
      ->capture_default_str();
  repeated(diagnose->add_option("--predict-at", options.predict_at,
                                "Forecast each metric at this larger scale, in the axis's unit; "
                                "may be given several times"))
      ->check(CLI::PositiveNumber);
  repeated(diagnose->add_option("--reach", options.reach,
                                "Forecast the scale at which each metric reaches this value"))
      ->check(CLI::Number);
  diagnose->add_option("--fdr", options.fdr, "False discovery rate over all series")
      ->check(CLI::Validator(IsShare, "0..1"))
      ->capture_default_str();
  diagnose->add_option("--level", options.level, "Coverage of intervals, between 0 and 1")
      ->check(CLI::Validator(IsShare, "0..1"))
      ->capture_default_str();
  diagnose->add_option("--seed", options.seed, "Seed of every bootstrap")
      ->check(CLI::Validator(IsSeed, "0..10^19"))
      ->capture_default_str();
  diagnose
      ->add_option("--plot", options.plot,
                   "Draw the curves into this SVG, or on the terminal where it is -")
      ->check(CLI::Validator(NotEmpty, "FILE.svg|-"));
  diagnose
      ->add_option("--output-format", options.output_format,
                   "table, json, markdown, csv or vega-lite (a figure as a specification)")
      ->check(CLI::IsMember({"table", "json", "markdown", "csv", "vega-lite"}))
      ->capture_default_str();
  diagnose
      ->add_option("-o,--output", options.output, "Write the answer here, not to standard output")
      ->check(CLI::Validator(NotEmpty, "FILE"));
  diagnose
      ->add_option("--sidecar", options.sidecar,
                   "Use the miraged at this address instead of the one built in")
      ->check(CLI::Validator(IsSidecar, "127.0.0.1:PORT|unix:PATH"));
  diagnose->add_flag("--quiet", options.quiet, "No progress and no warnings on standard error");
}

void AddMeta(CLI::App& app, MetaOptions& options) {
  CLI::App* meta = app.add_subcommand(
      "meta", "Under which metrics curves look emergent, over many tasks and families");
  meta->footer(
      "Examples:\n"
      "  mirage meta runs/ --scales models.csv         shares by metric, sharp against continuous\n"
      "  mirage meta --series published.csv            the same from a table of numbers\n"
      "  mirage meta --series a.csv --series b.csv --plot meta.svg\n"
      "  mirage meta --series published.csv --output-format csv -o triplets.csv\n"
      "                                                every triplet's score, p and q\n"
      "  mirage meta --series published.csv --metric-properties mine.yaml\n"
      "\n"
      "Tables are those of `mirage diagnose`. A triplet is one metric of one task over the models\n"
      "of one family, four scales at least; the answer says what counts as emergent. Of runs, "
      "every\n"
      "metric that was reported or that Mirage computes is taken. What a generated task takes "
      "from\n"
      "the same documents scored counts with it, not a second time with the scored task.");
  meta->add_option("RUN", options.runs,
                   "What a harness wrote, a file or a folder; several runs in a folder are all "
                   "taken")
      ->check(CLI::Validator(NotEmpty, ""));
  const auto repeated = [](CLI::Option* option) { return option->allow_extra_args(false); };
  repeated(meta->add_option("--series", options.series,
                            "A table of numbers; may be given several times, read as one"))
      ->check(CLI::Validator(NotEmpty, "FILE"));
  repeated(meta->add_option("--scales", options.scales,
                            "How large the runs' models are; may be given several times"))
      ->check(CLI::Validator(NotEmpty, "FILE"));
  repeated(meta->add_option("--evidence", options.evidence,
                            "Look here, too, for mirage_evidence_<task>_<date>.jsonl, which hooks "
                            "recorded; may be given several times"))
      ->check(CLI::Validator(NotEmpty, "FOLDER"));
  meta->add_option("--tokenizer", options.tokenizer,
                   "Unit of generated text, in distances: codepoints, bytes or words")
      ->check(CLI::IsMember({"codepoints", "characters", "bytes", "words"}))
      ->capture_default_str();
  meta->add_option("--x-axis", options.x_axis,
                   "parameters (the column scale), flops, tokens or loss")
      ->check(CLI::IsMember({"parameters", "flops", "tokens", "loss"}))
      ->capture_default_str();
  meta->add_option("--metric-properties", options.metric_properties,
                   "YAML that declares metrics of your own: direction, sharp or continuous")
      ->check(CLI::Validator(NotEmpty, "FILE"));
  repeated(meta->add_option("--metric", options.metrics,
                            "Take this metric only; may be given several times"))
      ->check(CLI::Validator(NotEmpty, "NAME"));
  meta->add_option("--fdr", options.fdr, "False discovery rate over all triplets")
      ->check(CLI::Validator(IsShare, "0..1"))
      ->capture_default_str();
  meta->add_option("--correction", options.correction,
                   "bh (Benjamini, Hochberg), or by (Benjamini, Yekutieli) for any dependence")
      ->check(CLI::IsMember({"bh", "by"}))
      ->capture_default_str();
  meta->add_option("--level", options.level, "Coverage of intervals, between 0 and 1")
      ->check(CLI::Validator(IsShare, "0..1"))
      ->capture_default_str();
  meta->add_option("--seed", options.seed, "Seed of every simulation")
      ->check(CLI::Validator(IsSeed, "0..10^19"))
      ->capture_default_str();
  meta->add_option("--plot", options.plot, "Draw every triplet's score into this SVG")
      ->check(CLI::Validator(NotEmpty, "FILE.svg"));
  meta->add_option("--output-format", options.output_format, "table, json, markdown or csv")
      ->check(CLI::IsMember({"table", "json", "markdown", "csv"}))
      ->capture_default_str();
  meta->add_option("-o,--output", options.output, "Write the answer here, not to standard output")
      ->check(CLI::Validator(NotEmpty, "FILE"));
  meta->add_option("--sidecar", options.sidecar,
                   "Use the miraged at this address instead of the one built in")
      ->check(CLI::Validator(IsSidecar, "127.0.0.1:PORT|unix:PATH"));
  meta->add_flag("--quiet", options.quiet, "No progress and no warnings on standard error");
}

void AddPlan(CLI::App& app, PlanOptions& options) {
  CLI::App* plan = app.add_subcommand(
      "plan", "How many items, which further sizes and seeds would settle a verdict");
  plan->footer(
      "Examples:\n"
      "  mirage plan --series published.csv            what would settle each series\n"
      "  mirage plan runs/ --scales models.csv --metric exact_match\n"
      "  mirage plan --series published.csv --delta 0.02 --power 0.9\n"
      "                                                items that show a change of two points\n"
      "  mirage plan --series published.csv --output-format json -o plan.json\n"
      "\n"
      "Tables are those of `mirage diagnose`. A decided series is planned at once; for one that\n"
      "is not, models that do not exist yet are drawn from what is known of the family and\n"
      "diagnosed, which takes up to a minute each. \"Decided by then\" is the share of draws in\n"
      "which the verdict is neither INSUFFICIENT nor MIXED: a forecast, no promise.");
  AddFamilyInput(*plan, options, "Plan");
  plan->add_option("--x-axis", options.x_axis,
                   "parameters (the column scale), flops, tokens or loss")
      ->check(CLI::IsMember({"parameters", "flops", "tokens", "loss"}))
      ->capture_default_str();
  plan->add_option("--delta", options.delta,
                   "Change of the metric worth seeing, in its unit; without it what the "
                   "counterpart predicts for the next size")
      ->check(CLI::PositiveNumber);
  plan->add_option("--power", options.power, "Probability of seeing it, and of settling a series")
      ->check(CLI::Validator(IsShare, "0..1"))
      ->capture_default_str();
  plan->add_option("--level", options.level, "Confidence of the test, above 0.5 and below 1")
      ->check(CLI::Validator(IsShare, "0..1"))
      ->capture_default_str();
  plan->add_option("--seed", options.seed, "Seed of every draw")
      ->check(CLI::Validator(IsSeed, "0..10^19"))
      ->capture_default_str();
  plan->add_option("--output-format", options.output_format, "table, json, markdown or csv")
      ->check(CLI::IsMember({"table", "json", "markdown", "csv"}))
      ->capture_default_str();
  plan->add_option("-o,--output", options.output, "Write the answer here, not to standard output")
      ->check(CLI::Validator(NotEmpty, "FILE"));
  plan->add_option("--sidecar", options.sidecar,
                   "Use the miraged at this address instead of the one built in")
      ->check(CLI::Validator(IsSidecar, "127.0.0.1:PORT|unix:PATH"));
  plan->add_flag("--quiet", options.quiet, "No progress and no warnings on standard error");
}

// The flags that the three forms of `metrics` share.
void AddMetricsFlags(CLI::App& app, MetricsOptions& options, bool& quiet) {
  app.add_option("--output-format", options.output_format, "table, json or markdown")
      ->check(CLI::IsMember({"table", "json", "markdown"}))
      ->capture_default_str();
  app.add_option("-o,--output", options.output, "Write the answer here, not to standard output")
      ->check(CLI::Validator(NotEmpty, "FILE"));
  app.add_option("--sidecar", options.sidecar,
                 "Use the miraged at this address instead of the one built in")
      ->check(CLI::Validator(IsSidecar, "127.0.0.1:PORT|unix:PATH"));
  app.add_flag("--quiet", quiet, "No notes on standard error");
}

void AddMetrics(CLI::App& app, MetricsOptions& options, bool& quiet) {
  CLI::App* metrics =
      app.add_subcommand("metrics", "Metrics and statistics: what they are, what to use instead");
  metrics->footer(
      "Examples:\n"
      "  mirage metrics                                every metric and statistic\n"
      "  mirage metrics show brier_score               all about one, and its other conventions\n"
      "  mirage metrics swap exact_match               what to use instead of a sharp metric\n"
      "  mirage metrics --output-format markdown -o docs/metrics.md\n"
      "\n"
      "`mirage metrics show --help` and `mirage metrics swap --help` have their options.");
  metrics->require_subcommand(0, 1);
  AddMetricsFlags(*metrics, options, quiet);

  CLI::App* show = metrics->add_subcommand("show", "Definition, convention and guarantees of one");
  show->footer(
      "Examples:\n"
      "  mirage metrics show brier_score               all four conventions, and who uses which\n"
      "  mirage metrics show wilson                    a statistic\n"
      "  mirage metrics show acc --output-format json");
  show->add_option("NAME", options.name, "A metric or a statistic")->required();
  AddMetricsFlags(*show, options, quiet);
  show->callback([&options] { options.action = MetricsOptions::Action::kShow; });

  CLI::App* swap = metrics->add_subcommand("swap", "Continuous counterparts of a metric, in order");
  swap->footer(
      "Examples:\n"
      "  mirage metrics swap exact_match               everything that can be recorded for it\n"
      "  mirage metrics swap exact_match --recorded generation,likelihood\n"
      "                                                what such a run gives, and what it lacks\n"
      "  mirage metrics swap my_score --recorded choices\n"
      "                                                a metric that is the task's own");
  swap->add_option("NAME", options.name, "A reported metric")->required();
  swap->add_option("--recorded", options.recorded,
                   "What the run recorded, separated by commas; everything that could be")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember(mirage::client::NeedsFlags()));
  AddMetricsFlags(*swap, options, quiet);
  swap->callback([&options] { options.action = MetricsOptions::Action::kSwap; });
}

void AddSimulate(CLI::App& app, SimulateOptions& options) {
  CLI::App* simulate = app.add_subcommand(
      "simulate", "A family of models whose law is known, as files of a harness");
  simulate->footer(
      "Examples:\n"
      "  mirage simulate --list                        every family that has a name\n"
      "  mirage simulate --truth mirage -o sim/        one power law: sudden only in exact match\n"
      "  mirage simulate --truth break -o sim/ --seed 7 --samples 300\n"
      "  mirage simulate --truth mirage -o sim/ --scales 1e8,3e8,1e9,3e9,1e10 --seeds 3\n"
      "  mirage simulate --spec mine.yaml -o sim/      fields as in SimulationSpec\n"
      "  mirage diagnose sim/ --scales sim/models.csv  is the verdict that of sim/truth.json?\n"
      "\n"
      "Writes a folder for each model, as lm-eval does, with the log-probabilities of the gold\n"
      "answers beside it, models.csv, and truth.json: the law, the verdict that is right and\n"
      "those that are not wrong. The same flags give the same bytes.");
  simulate->add_option("--truth", options.truth, "Name of a family; --list prints them all")
      ->check(CLI::Validator(NotEmpty, "NAME"));
  simulate
      ->add_option("-o,--output", options.output, "Folder to write to: a new one, or an empty one")
      ->check(CLI::Validator(NotEmpty, "DIR"));
  simulate->add_flag("--list", options.list, "Print the families that have names, and no more");
  simulate
      ->add_option("--spec", options.spec,
                   "What the family is made of, over what the name says; flags count more")
      ->check(CLI::Validator(NotEmpty, "FILE.yaml"));
  simulate->add_option("--family", options.family, "What the models are called; the family's name")
      ->check(CLI::Validator(NotEmpty, "NAME"));
  simulate->add_option("--seed", options.seed, "Seed of everything")
      ->check(CLI::Validator(IsSeed, "0..10^19"));
  simulate->add_option("--samples", options.samples, "Items that each model is asked");
  simulate->add_option("--seeds", options.seeds, "Trainings of each size");
  simulate->add_option("--scales", options.scales, "Numbers of parameters, separated by commas")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::PositiveNumber);
  simulate
      ->add_option("--sidecar", options.sidecar,
                   "Use the miraged at this address instead of the one built in")
      ->check(CLI::Validator(IsSidecar, "127.0.0.1:PORT|unix:PATH"));
  simulate->add_flag("--quiet", options.quiet, "No progress on standard error");
}

// What stands where a command of `app` belongs, if it is none: CLI11 only says that one is
// missing, or that more is there than it expected.
std::optional<std::string> NotACommand(const CLI::App& app, char** begin, char** end) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    commands.push_back(command->get_name());
  }
  // No flag before the command has a value.
  const auto is_flag = [](std::string_view word) { return word.substr(0, 1) == "-"; };
  char** const word = std::find_if_not(begin, end, is_flag);
  if (word == end) return std::nullopt;
  if (std::find(commands.begin(), commands.end(), *word) == commands.end()) {
    return mirage::client::UnknownCommand(*word, commands);
  }
  const CLI::App* const command = app.get_subcommand(*word);
  // Behind a flag it may be the flag's value.
  if (command->get_subcommands(nullptr).empty() || word + 1 == end || is_flag(word[1])) {
    return std::nullopt;
  }
  return NotACommand(*command, word + 1, end);
}

// Calls `run` with a channel to the sidecar at the address, or to the one built in where that
// is empty, and returns its exit code.
int WithSidecar(const std::string& address,
                const std::function<int(const std::shared_ptr<grpc::Channel>&)>& run) {
  if (address.empty()) {
    auto embedded = mirage::server::StartEmbedded();
    if (!embedded.ok()) {
      mirage::client::PrintError(
          fmt::format("mirage: {}\n", std::string(embedded.status().message())));
      return kFailed;
    }
    return run(embedded->channel);
  }
  const auto channel = mirage::client::SidecarChannel(address, mirage::server::kMaxMessageBytes);
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnectTimeout)) {
    mirage::client::PrintError(
        fmt::format("mirage: no sidecar answered at {0} within {1} s: start one with miraged "
                    "--listen {0}\n",
                    mirage::client::SafeText(address), kConnectTimeout.count()));
    return kFailed;
  }
  return run(channel);
}

}  // namespace

int main(int argc, char** argv) {
  mirage::client::HoldStandardDescriptors();
  mirage::client::CleanUpWhenInterrupted();
  // Debian builds Abseil with its deadlock detector on, which aborts on a cycle
  // that gRPC itself makes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app{
      "Mirage: is that jump in the model, or in the metric?\n"
      "Continuous counterparts, intervals and a mirage risk for every reported accuracy; a "
      "verdict\n"
      "on every sudden rise over a family of models.",
      "mirage"};
  app.set_version_flag("--version", fmt::format("mirage {}", mirage::kVersion));
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  mirage attach examples/\n"
      "  mirage diagnose runs/ --scales models.csv\n"
      "  mirage meta --series published.csv\n"
      "  mirage metrics swap exact_match\n"
      "  mirage plan --series published.csv\n"
      "  mirage simulate --truth mirage -o sim/\n"
      "\n"
      "Exit codes: 0 done, 2 usage, 4 input unreadable, output unwritable or sidecar\n"
      "unreachable. `mirage COMMAND --help` shows a command's options and examples.");
  AttachOptions attach_options;
  std::string input_format;
  AddAttach(app, attach_options, input_format);
  DiagnoseOptions diagnose_options;
  AddDiagnose(app, diagnose_options);
  MetaOptions meta_options;
  AddMeta(app, meta_options);
  MetricsOptions metrics_options;
  bool quiet = false;
  AddMetrics(app, metrics_options, quiet);
  PlanOptions plan_options;
  AddPlan(app, plan_options);
  SimulateOptions simulate_options;
  AddSimulate(app, simulate_options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto not_a_command = NotACommand(app, argv + 1, argv + argc);
    if (error.get_exit_code() != 0 && not_a_command.has_value()) {
      mirage::client::PrintError(
          fmt::format("mirage: {}\nRun with --help for more information.\n", *not_a_command));
      return kUsage;
    }
    if (app.exit(error) != 0) return kUsage;
    // --help and --version: a full disk behind a redirection must not pass for success.
    if (std::cout.flush()) return mirage::client::kDone;
    mirage::client::PrintError("mirage: cannot write to standard output\n");
    return kFailed;
  }
  // The usual name of standard output.
  for (std::string* const output :
       {&attach_options.output, &diagnose_options.output, &meta_options.output,
        &metrics_options.output, &plan_options.output}) {
    if (*output == "-") output->clear();
  }
  if (app.got_subcommand("metrics")) {
    return WithSidecar(metrics_options.sidecar, [&](const auto& channel) {
      return mirage::client::RunMetrics(metrics_options, channel);
    });
  }
  if (app.got_subcommand("simulate")) {
    const absl::Status status = mirage::client::CheckSimulateOptions(simulate_options);
    if (!status.ok()) {
      mirage::client::PrintError(
          fmt::format("mirage: {}\nRun with --help for more information.\n",
                      mirage::client::SafeText(std::string(status.message()))));
      return kUsage;
    }
    return WithSidecar(simulate_options.sidecar, [&](const auto& channel) {
      return mirage::client::RunSimulate(simulate_options, channel);
    });
  }
  if (app.got_subcommand("meta")) {
    const absl::Status status = mirage::client::CheckMetaOptions(meta_options);
    if (!status.ok()) {
      mirage::client::PrintError(
          fmt::format("mirage: {}\nRun with --help for more information.\n",
                      mirage::client::SafeText(std::string(status.message()))));
      return kUsage;
    }
    return WithSidecar(meta_options.sidecar, [&](const auto& channel) {
      return mirage::client::RunMeta(meta_options, channel);
    });
  }
  if (app.got_subcommand("plan")) {
    const absl::Status status = mirage::client::CheckPlanOptions(plan_options);
    if (!status.ok()) {
      mirage::client::PrintError(
          fmt::format("mirage: {}\nRun with --help for more information.\n",
                      mirage::client::SafeText(std::string(status.message()))));
      return kUsage;
    }
    return WithSidecar(plan_options.sidecar, [&](const auto& channel) {
      return mirage::client::RunPlan(plan_options, channel);
    });
  }
  if (app.got_subcommand("diagnose")) {
    // Before anybody waits for a sidecar.
    const absl::Status status = mirage::client::CheckDiagnoseOptions(diagnose_options);
    if (!status.ok()) {
      mirage::client::PrintError(
          fmt::format("mirage: {}\nRun with --help for more information.\n",
                      mirage::client::SafeText(std::string(status.message()))));
      return kUsage;
    }
    return WithSidecar(diagnose_options.sidecar, [&](const auto& channel) {
      return mirage::client::RunDiagnose(diagnose_options, channel);
    });
  }
  return WithSidecar(attach_options.sidecar, [&](const auto& channel) {
    return mirage::client::RunAttach(attach_options, channel);
  });
}
