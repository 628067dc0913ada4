#include "tac/clock/chrony_daemon.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/account.h"
#include "base/file.h"
#include "base/text.h"

namespace kokuin::tac::clock::chrony {
namespace {

constexpr nanoseconds patience = seconds(2);

// chronyc binds a socket of its own beside the daemon's: "chronyc.PID.sock".
constexpr std::size_t longest_path = sizeof(sockaddr_un::sun_path) - 1 - sizeof("/chronyc.4194304.sock");

// chronyd leaves its command socket away, without a word, if the folder isn't this user's alone.
Done make_folder(const std::string& dir) {
    struct stat seen {};
    if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST)
        return Error::environment(dir + ": can't be made: " + std::generic_category().message(errno));
    if (::stat(dir.c_str(), &seen) != 0 || !S_ISDIR(seen.st_mode))
        return Error::environment(dir + ": is no folder; give [reference] dir another place");
    if (seen.st_uid != ::geteuid())
        return Error::environment(dir + ": belongs to another user; chronyd needs a folder of this one's");
    // The group must be this one's too.
    if (seen.st_gid != ::getegid() && ::chown(dir.c_str(), ::geteuid(), ::getegid()) != 0)
        return Error::environment(dir + ": belongs to another group; chronyd needs a folder of this one's");
    if ((seen.st_mode & 07777U) != 0700 && ::chmod(dir.c_str(), 0700) != 0)
        return Error::environment(dir + ": " + std::generic_category().message(errno));
    return {};
}

}  // namespace

std::string configuration(const Settings& settings) {
    std::string text =
        "# Written at every start; what is changed here is lost. This chronyd only measures (-x).\n";
    for (const auto& server : settings.servers) {
        text += "server " + server.host;
        if (server.port != 0) text += (server.nts ? " ntsport " : " port ") + std::to_string(server.port);
        // A measurement each 16 s, so that evidence is never old; bursts at the start.
        text += " iburst minpoll 4 maxpoll 4";
        if (server.nts) text += " nts";
        text += '\n';
    }
    // No minsources: how many agree is judged here (Sources::reach). chrony doesn't count those that overlap an
    // authenticated source without agreeing fully, and would choose none for as long as they are wide.
    if (!settings.nts_ca.empty()) text += "ntstrustedcerts " + settings.nts_ca + '\n';
    // It serves nobody and takes commands from this user alone.
    text += "port 0\ncmdport 0\n";
    text += "bindcmdaddress " + settings.dir + "/chronyd.sock\n";
    text += "pidfile " + settings.dir + "/chronyd.pid\n";
    text += "ntsdumpdir " + settings.dir + '\n';
    return text;
}

Done Daemon::start() {
    if (const auto path = socket(); path.find_last_of('/') > longest_path)
        return Error::environment(path + ": too long for a socket; choose a folder whose path has at most " +
                                  std::to_string(longest_path) + " octets");
    if (!is_own()) return {};
    stop();
    if (auto done = make_folder(settings_.dir); !done) return done;
    const auto file = settings_.dir + "/chronyd.conf";
    const auto text = configuration(settings_);
    if (auto done = write_file(file, as_view(text), 0600); !done) return done;
    // Under its own name it would give up root and lose its folder.
    std::vector<std::string> argv{settings_.chronyd, "-x", "-d", "-U", "-f", file};
    if (const auto user = account_name(::geteuid())) argv.insert(argv.end(), {"-u", *user});
    auto started = Companion::start(argv, log());
    if (!started) return std::move(started).error();
    companion_.emplace(std::move(*started));
    return {};
}

bool Daemon::ended() {
    return companion_ && !companion_->alive();
}

void Daemon::stop() {
    companion_.reset();
}

Result<std::string> Daemon::chronyc(std::vector<std::string> commands) {
    std::vector<std::string> argv{settings_.chronyc, "-c", "-n", "-h", socket(), "-m"};
    argv.insert(argv.end(), commands.begin(), commands.end());
    RunOptions options;
    options.deadline = patience;
    auto ran = run_program(argv, options);
    if (!ran) return std::move(ran).error();
    if (ran->status != 0) {
        const auto said = one_line(ran->err.empty() ? ran->out : ran->err, 200);
        return Error::environment(where() + " doesn't answer (" + said + ")");
    }
    return std::move(ran->out);
}

Result<Report> Daemon::ask() {
    auto text = chronyc({"tracking", "selectdata", "sources", "tracking"});
    if (!text) return std::move(text).error();
    return parse(*text, settings_.silence, settings_.min_sources);
}

Done Daemon::reset() {
    auto said = chronyc({"reset sources", "burst 3/4"});
    if (!said) return std::move(said).error();
    return {};
}

Done Daemon::burst() {
    auto said = chronyc({"burst 3/4"});
    if (!said) return std::move(said).error();
    return {};
}

}  // namespace kokuin::tac::clock::chrony
