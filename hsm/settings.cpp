#include "hsm/settings.h"

#include <algorithm>
#include <cstdlib>

namespace kokuin::hsm {

Settings read_settings(config::Table table) {
    Settings settings;
    settings.module = table.path("module");
    settings.module_parameters = table.maybe_string("module_parameters").value_or("");
    settings.token = table.string("token");
    settings.pin_file = table.maybe_path("pin_file").value_or("");
    settings.unattended = table.paths("unattended", std::vector<std::string>{});
    if (!settings.unattended.empty() && !settings.pin_file.empty())
        table.problem("unattended",
                      "there is a pin_file, so there are no shares to open; allowed: one of the two");
    settings.sessions = static_cast<unsigned>(table.integer("sessions", 1, 256, settings.sessions));
    settings.environment = table.strings("environment", std::vector<std::string>{});
    for (const auto& entry : settings.environment)
        if (entry.find('=') == std::string::npos || entry.front() == '=')
            table.problem("environment", "'" + entry + "' is no setting; allowed: NAME=value");
    return settings;
}

std::string table_of(const Settings& settings) {
    return settings.name.empty() ? "[hsm]" : "[hsm." + settings.name + "]";
}

namespace {

std::pair<std::string, std::string> split_variable(const std::string& entry) {
    const auto equals = entry.find('=');
    return {entry.substr(0, equals), equals == std::string::npos ? "" : entry.substr(equals + 1)};
}

void check_beside(const Settings& one, const Settings& other, config::Table& table) {
    // Records, the keeper and operators tell tokens by their labels.
    if (one.token == other.token)
        table.problem("token", table_of(other) +
                                   " has a token of this label already; allowed: another label, also for "
                                   "a token of another module");
    if (one.module == other.module && one.module_parameters != other.module_parameters)
        table.problem("module_parameters", table_of(other) +
                                               " starts the same module with others; allowed: the same, a "
                                               "module is started once");
    for (const auto& mine : one.environment)
        for (const auto& theirs : other.environment)
            if (mine != theirs && split_variable(mine).first == split_variable(theirs).first)
                table.problem("environment", "'" + split_variable(mine).first + "' has another value in " +
                                                 table_of(other) +
                                                 "; allowed: one, a process has one environment");
}

}  // namespace

std::vector<Settings> read_all_settings(config::Table table) {
    std::vector<Settings> all;
    auto more = table.inner_tables();
    all.push_back(read_settings(table));
    for (auto& [name, inner] : more) {
        auto one = read_settings(inner);
        one.name = name;
        if (name == "hsm") table.problem(name, "means [hsm] itself; allowed: another name");
        for (const auto& other : all) check_beside(one, other, inner);
        all.push_back(std::move(one));
    }
    // Whoever opens one of them alone opens it in the same environment.
    std::vector<std::string> environment;
    for (const auto& one : all)
        for (const auto& entry : one.environment)
            if (std::find(environment.begin(), environment.end(), entry) == environment.end())
                environment.push_back(entry);
    for (auto& one : all) one.environment = environment;
    return all;
}

void apply_environment(const Settings& settings) {
    for (const auto& entry : settings.environment) {
        const auto [name, value] = split_variable(entry);
        setenv(name.c_str(), value.c_str(), 1);
    }
}

}  // namespace kokuin::hsm
