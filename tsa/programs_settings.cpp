#include "tsa/programs_settings.h"

#include <filesystem>
#include <set>

#include "base/process.h"
#include "tsa/config.h"

namespace kokuin::tsa {

ProgramsSettings read_programs(config::Table table) {
    ProgramsSettings out;
    out.check_every =
        table.duration("check_every", milliseconds(100), std::chrono::hours(24), std::chrono::minutes(10));
    out.stop = table.choice<bool>("on_change", {{"alarm", false}, {"stop", true}}, false);
    out.watch = table.paths("watch", std::vector<std::string>{});
    return out;
}

std::vector<std::string> files_of(const Settings& settings) {
    std::set<std::string> files(settings.programs.watch.begin(), settings.programs.watch.end());
    const auto add = [&files](const std::string& path) {
        if (!path.empty()) files.insert(std::filesystem::absolute(path).lexically_normal().string());
    };
    add(settings.file);
    for (const auto& hsm : settings.hsms) add(hsm.module);
    for (const auto& tsu : settings.tsus) {
        add(tsu.certificate);
        add(tsu.chain);
    }
    if (settings.https) add(settings.https->certificate);
    if (settings.audit) {
        add(settings.audit->tls.certificate);
        add(settings.audit->ca);
    }
    if (settings.taa) {
        add(settings.taa->anchors);
        add(settings.taa->certificates);
    }
    if (settings.revocation)
        for (const auto& source : settings.revocation->sources) add(source.issuer);
    if (settings.seal) {
        add(settings.seal->ca);
        add(settings.seal->anchors);
        for (const auto& certificate : settings.seal->certificates) add(certificate);
    }
    add(settings.leap_seconds);
    if (settings.reference) {
        const auto& daemon = settings.reference->daemon;
        // Behind a socket somebody else's runs.
        if (daemon.socket.empty()) add(find_program(daemon.chronyd));
        add(find_program(daemon.chronyc));
        add(daemon.nts_ca);
    }
    // The words after it may name a secret; a script that an interpreter runs belongs into `watch`.
    if (settings.hook) add(find_program(settings.hook->command.front()));
    // Whatever else has named them: a certificate's file may hold its key too.
    for (const auto& hsm : settings.hsms) {
        files.erase(hsm.pin_file);
        for (const auto& stem : hsm.unattended)
            for (const auto* end : {".share", ".passphrase"}) files.erase(stem + end);
    }
    if (settings.https) files.erase(settings.https->key);
    if (settings.audit) files.erase(settings.audit->tls.key);
    return {files.begin(), files.end()};
}

}  // namespace kokuin::tsa
