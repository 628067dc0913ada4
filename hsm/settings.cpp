#include "hsm/settings.h"

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

void apply_environment(const Settings& settings) {
    for (const auto& entry : settings.environment) {
        const auto equals = entry.find('=');
        setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
    }
}

}  // namespace kokuin::hsm
