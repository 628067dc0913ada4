#include "hsm/custody/dialogue.h"

#include <iostream>

#include "base/file.h"
#include "base/json_text.h"
#include "base/net/client.h"
#include "base/net/outcome.h"
#include "base/terminal.h"
#include "base/text.h"

namespace kokuin::hsm::custody {
namespace {

constexpr int tries = 3;

}  // namespace

std::string shown(std::string_view text) {
    return one_line(text, any_length);
}

Result<Json> ask(const Site& site, const std::string& method, const std::string& path, const Json& body,
                 nanoseconds within) {
    net::ClientOptions options;
    options.unix_path = site.socket;
    auto client = net::Client::make(std::move(options));
    if (!client) return std::move(client).error();
    net::Call call;
    call.method = method;
    call.path = path;
    if (!body.is_null()) {
        const auto text = dump(body);
        call.content_type = "application/json";
        call.body = Bytes(text.begin(), text.end());
    }
    const auto answer = client->request(call, within);
    if (!answer) return Error{answer.error()}.in(site.program + " doesn't answer; start it first");
    if (answer->status == 404)
        return Error::usage(site.program + " on " + site.socket + " has no custodians for the PIN of " +
                            table_of(site.hsm) + ": it was started with a pin_file, or without this table");
    if (answer->status != 200) return net::error_of(*answer, site.program + " on " + site.socket);
    auto json = parse_ordered_json(as_text(answer->body));
    if (!json.is_object() && !json.is_array())
        return Error::environment(site.program + "'s answer on " + site.socket + " is no JSON");
    return json;
}

void warn_unattended(const std::string& what) {
    std::cerr << "WARNING: UNATTENDED: " << what
              << "; whoever reads it can do what this custodian can. For tests and demos only, never for "
                 "service.\n";
}

Result<Secret> choose_passphrase(const std::string& custodian) {
    for (int i = 0; i < tries; ++i) {
        auto first = ask_secret("Custodian " + custodian + ", choose a passphrase (" +
                                std::to_string(shortest_passphrase) + " characters or more):");
        if (!first) return std::move(first).error();
        if (first->view().size() < shortest_passphrase) {
            std::cerr << "too short: " << shortest_passphrase << " characters or more\n";
            continue;
        }
        const auto again = ask_secret("Custodian " + custodian + ", the same again:");
        if (!again) return again.error();
        if (equal_constant_time(first->view(), again->view())) return first;
        std::cerr << "that was something else; try again\n";
    }
    return Error::usage("no passphrase for the custodian " + custodian + " after " + std::to_string(tries) +
                        " tries; nothing was made");
}

Result<ShareFile> read_share_file(const std::string& path) {
    const auto text = read_file(path, largest_share_file);
    if (!text) return text.error();
    auto file = ShareFile::from_json(as_text(*text));
    if (!file) return std::move(file).error().in(path);
    return file;
}

Result<OpenShare> open_share(const Arguments& arguments, ShareFile file) {
    if (!arguments.passphrase_file.empty())
        warn_unattended("a custodian's passphrase lies in " + arguments.passphrase_file);
    const auto passphrase = arguments.passphrase_file.empty()
                                ? ask_secret("Passphrase of the custodian " + file.custodian + ":")
                                : read_secret_file(arguments.passphrase_file);
    if (!passphrase) return passphrase.error();
    auto share = open_share_file(std::move(file), passphrase->view());
    if (!share) return std::move(share).error().in(arguments.share);
    return share;
}

}  // namespace kokuin::hsm::custody
