// A small RFC 3161 client for the command line.
#include <nlohmann/json.hpp>

#include "base/der.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/time.h"
#include "tsa/control/commands.h"
#include "tsa/stamp_client.h"

namespace kokuin::tsa::control {
namespace {

constexpr nanoseconds stamp_within = seconds(30);

}  // namespace

Result<int> stamp(const StampOptions& options, bool as_json, std::ostream& out) {
    const auto data = read_file(options.file, largest_file);
    if (!data) return data.error();
    const auto hash = pki::hash_from_name(options.hash);
    if (!hash || *hash == pki::Hash::sha1)
        return Error::usage("--hash " + options.hash + ": allowed are sha256, sha384, sha512");
    if (!options.policy.empty() && !der::is_oid(options.policy))
        return Error::usage("--policy " + options.policy +
                            ": is no OID; allowed is a dotted one, e.g. 1.3.6.1.4.1.1291.1.1.1.2");
    const auto url = net::parse_url(options.url);
    if (!url) return Error::usage("--url " + options.url + ": " + url.error().text);
    if (url->https && options.ca.empty())
        return Error::usage("--url " + options.url + ": https needs --ca FILE, the server's anchors");

    const auto request =
        stamp_request(*hash, pki::digest(*hash, *data),
                      options.policy.empty() ? std::nullopt : std::optional<std::string>(options.policy),
                      options.certificates);
    const auto answer = ask_for_stamp({*url, url->https ? options.ca : ""}, request, stamp_within);
    if (!answer) return answer.error();

    const auto output = options.output.empty() ? options.file + ".tsr" : options.output;
    if (const auto done = write_file(output, answer->response); !done) return done.error();
    const auto time = to_rfc3339(answer->token.tst_info.gen_time);
    const auto serial = to_hex(answer->token.tst_info.serial);
    if (as_json)
        out << json_text(nlohmann::json{{"file", output},
                                        {"serial", serial},
                                        {"gen_time", time},
                                        {"policy", answer->token.tst_info.policy}})
            << '\n';
    else
        out << options.file << " stamped at " << time << ", serial " << serial << ": " << output << '\n';
    return 0;
}

}  // namespace kokuin::tsa::control
