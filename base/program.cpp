#include "base/program.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>
#include <iostream>

#include "base/secret.h"

namespace kokuin {

int run_program(const std::string& name, const std::function<Result<int>()>& work) {
    forbid_core_dumps();
    std::signal(SIGPIPE, SIG_IGN);
    try {
        auto result = work();
        if (result && !std::cout.flush())
            result = Error::environment("the answer can't be written; is the disk full?");
        if (result) return *result;
        std::cerr << name << ": " << result.error().text << '\n';
        return exit_code(result.error().kind);
    } catch (const std::exception& fault) {
        std::cerr << name << ": internal fault: " << fault.what() << '\n';
        return exit_code(Error::Kind::environment);
    }
}

Result<bool> read_command_line(const std::string& name, CLI::App& app, int argc, char** argv) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp& help) {
        app.exit(help);
        return false;
    } catch (const CLI::ParseError& error) {
        return Error::usage(std::string(error.what()) + "; see " + name + " --help");
    }
    return true;
}

void log_to_stderr(const std::string& name) {
    spdlog::set_default_logger(spdlog::stderr_color_mt(name));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
}

void set_log_level(const std::string& level) {
    spdlog::set_level(spdlog::level::from_str(level == "warn" ? "warning" : level));
}

}  // namespace kokuin
