#include "audit/seal_commands.h"

#include <nlohmann/json.hpp>
#include <ostream>

#include "audit/trust.h"
#include "base/file.h"
#include "base/json_text.h"
#include "base/text.h"
#include "evidence/check.h"
#include "evidence/seal.h"
#include "tsa/protocol/token.h"

namespace kokuin::audit {
namespace {

using Json = nlohmann::ordered_json;

Result<Bytes> record_of_token(const SealArguments& arguments) {
    const auto serial =
        from_hex(arguments.serial.size() % 2 == 1 ? "0" + arguments.serial : arguments.serial);
    if (!serial || serial->empty())
        return Error::usage("SERIAL: \"" + one_line(arguments.serial, 64) +
                            "\" isn't hexadecimal: give digits 0-9 and a-f");
    return evidence::evidence_of(arguments.archive, *serial);
}

Result<Bytes> record_of_month(const SealArguments& arguments) {
    auto found = evidence::evidence_of_month(arguments.archive, arguments.month);
    if (!found) return found.error();
    if (!arguments.head.empty())
        if (auto done = write_file(arguments.head, found->head); !done) return done.error();
    return std::move(found->record);
}

}  // namespace

Done write_evidence(const SealArguments& arguments, std::ostream& out) {
    if (arguments.archive.empty())
        return Error::usage("--archive is missing: give the folder that holds the archive");
    if (arguments.serial.empty() == arguments.month.empty())
        return Error::usage("give the SERIAL of a token, or --month YYYY-MM");
    const auto record = arguments.month.empty() ? record_of_token(arguments) : record_of_month(arguments);
    if (!record) return record.error();
    if (!arguments.out.empty()) return write_file(arguments.out, *record);
    out.write(reinterpret_cast<const char*>(record->data()), static_cast<std::streamsize>(record->size()));
    return {};
}

Done check_evidence(const SealArguments& arguments, std::ostream& out) {
    const auto octets = read_file(arguments.record);
    if (!octets) return octets.error();
    const auto chains = evidence::parse_record(*octets);
    if (!chains) return Error{chains.error()}.in(arguments.record);
    auto object = read_file(arguments.object);
    if (!object) return object.error();
    // What clients keep is often the whole response; the record is about the token in it.
    if (auto token = tsp::parse_token_or_response(*object)) object = std::move(token->der);
    evidence::Believed believed;
    if (!arguments.trust.empty()) {
        const auto trust = load_trust(arguments.trust);
        if (!trust) return trust.error();
        believed = {trust->seal_anchors, trust->certificates};
    }
    const bool anchored = !believed.anchors.empty();
    const auto verdict = evidence::check(*chains, *object, believed, SystemWallClock().now());
    if (arguments.json) {
        Json stamps = Json::array();
        for (const auto& one : verdict.stamps)
            stamps.push_back({{"chain", one.chain},
                              {"time", to_rfc3339(one.time)},
                              {"hash", one.hash},
                              {"tsa", one_line(one.tsa, any_length)},
                              {"until", to_rfc3339(one.until, 0)}});
        out << json_text(Json{{"ok", verdict.ok()},
                              {"anchored", anchored},
                              {"time_stamps", stamps},
                              {"gaps", verdict.gaps},
                              {"problems", verdict.faults}})
            << '\n';
    } else {
        for (const auto& one : verdict.stamps)
            out << "time-stamp of " << to_rfc3339(one.time) << ", " << one.hash << ", chain " << one.chain + 1
                << ", by " << one_line(one.tsa, any_length) << ", whose certificate ends "
                << to_rfc3339(one.until, 0) << '\n';
        for (const std::string& gap : verdict.gaps) out << one_line(gap, any_length) << '\n';
        for (const std::string& fault : verdict.faults) out << one_line(fault, any_length) << '\n';
        out << "anchored: " << (anchored ? "true" : "false (no trust file with seal_anchors)") << '\n';
        if (verdict.ok())
            out << (anchored ? "it holds: the object existed at "
                             : "it fits; whoever believes these TSAs knows that the object existed at ")
                << to_rfc3339(verdict.stamps.front().time) << '\n';
    }
    if (!verdict.ok()) return Error::no(arguments.record + ": doesn't prove it, see above");
    return {};
}

}  // namespace kokuin::audit
