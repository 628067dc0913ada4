#include "base/program.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>
#include <memory>

#include "base/secret.h"
#include "base/text.h"

namespace kokuin {
namespace {

/// Each line of it is one problem; what is between their ends can't move a terminal.
void print_error(const std::string& name, std::string_view text) {
    std::string lines = name + ": ";
    while (true) {
        const auto end = text.find('\n');
        lines += one_line(text.substr(0, end), any_length) + '\n';
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    std::cerr << lines;
}

/// The text of a log record.
class HarmlessText final : public spdlog::custom_flag_formatter {
  public:
    void format(const spdlog::details::log_msg& record, const std::tm&, spdlog::memory_buf_t& out) override {
        const auto line = one_line({record.payload.data(), record.payload.size()}, any_length);
        out.append(line.data(), line.data() + line.size());
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override {
        return std::make_unique<HarmlessText>();
    }
};

/// CLI11 says only that a verb is missing, also where there is one that it doesn't know.
std::string what_is_wrong(const std::string& name, CLI::App& app, const CLI::ParseError& error) {
    // The nouns and the verb that were understood; what wasn't stays with them.
    CLI::App* last = &app;
    std::string understood = name;
    while (!last->get_subcommands().empty()) {
        last = last->get_subcommands().front();
        understood += ' ' + last->get_name();
    }
    const auto verbs = last->get_subcommands([](const CLI::App*) { return true; });
    const auto unknown = app.remaining(true);
    if (verbs.empty() || (unknown.empty() && last->get_require_subcommand_min() == 0))
        return one_line(error.what());
    std::string allowed;
    for (const auto* verb : verbs) allowed += (allowed.empty() ? "" : ", ") + verb->get_name();
    if (unknown.empty()) return understood + ": a verb is missing; allowed: " + allowed;
    const auto& word = unknown.front();
    if (word.starts_with('-')) return understood + ": there is no option " + one_line(word);
    return understood + ": there is no verb '" + one_line(word) + "'; allowed: " + allowed;
}

}  // namespace

int run_program(const std::string& name, const std::function<Result<int>()>& work) {
    forbid_core_dumps();
    std::signal(SIGPIPE, SIG_IGN);
    try {
        auto result = work();
        if (result && !std::cout.flush())
            result = Error::environment("the answer can't be written; is the disk full?");
        if (result) return *result;
        print_error(name, result.error().text);
        return exit_code(result.error().kind);
    } catch (const std::exception& fault) {
        print_error(name, std::string("internal fault: ") + fault.what());
        return exit_code(Error::Kind::environment);
    }
}

Result<bool> read_command_line(const std::string& name, CLI::App& app, int argc, char** argv) {
    std::vector<std::string> arguments;
    for (int i = 1; i < argc; ++i) arguments.emplace_back(argv[i]);
    return read_command_line(name, app, arguments, std::cout);
}

Result<bool> read_command_line(const std::string& name, CLI::App& app,
                               const std::vector<std::string>& arguments, std::ostream& out) {
    app.name(name);
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
            app.exit(error, out, out);  // --help, --version
            return false;
        }
        return Error::usage(what_is_wrong(name, app, error) + "; see " + name + " --help");
    }
    return true;
}

void add_json_flag(CLI::App& app, bool& json) {
    app.fallthrough();
    app.add_flag("--json", json, "answer in JSON, one object or list a line");
    // Verbs inherit the footer, not the flag.
    const auto footer = app.get_footer();
    app.footer("--json, before or after the verb: answer in JSON." + (footer.empty() ? "" : "\n" + footer));
}

void log_to_stderr(const std::string& name) {
    spdlog::set_default_logger(spdlog::stderr_color_mt(name));
    // One record is one line, whatever a peer has put into the text.
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    formatter->add_flag<HarmlessText>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %*");
    spdlog::set_formatter(std::move(formatter));
}

void set_log_level(const std::string& level) {
    spdlog::set_level(spdlog::level::from_str(level == "warn" ? "warning" : level));
}

}  // namespace kokuin
