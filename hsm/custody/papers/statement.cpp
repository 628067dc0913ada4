#include "hsm/custody/papers/statement.h"

#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "base/text.h"
#include "hsm/custody/papers/json.h"

namespace kokuin::hsm::custody {

std::string Statement::text(const std::string& custodian) const {
    std::string text = "kokuin approval 1\n";
    const auto line = [&text](const char* name, const std::string& value) {
        text += name;
        text += ": ";
        text += one_line(value, any_length);
        text += '\n';
    };
    line("act", act);
    line("program", program);
    line("ceremony", ceremony);
    line("generation", std::to_string(generation));
    line("token", token);
    line("settings", settings);
    line("content", content);
    line("nonce", nonce);
    line("custodian", custodian);
    return text;
}

Approval approve(const Statement& statement, const std::string& custodian, View seed) {
    return {custodian, sign(seed, as_view(statement.text(custodian)))};
}

Done check(const Statement& statement, const Approval& approval, const Roster& roster) {
    const auto* custodian = roster.find(approval.custodian);
    if (!custodian) return Error::no("'" + one_line(approval.custodian) + "' is none of the custodians");
    if (!verify(custodian->keys.signing, as_view(statement.text(approval.custodian)), approval.signature))
        return Error::no("the signature of " + approval.custodian + " isn't over what is to be done");
    return {};
}

std::string approvals_json(const Statement& statement, const std::vector<Approval>& approvals) {
    Json all = Json::array();
    for (const auto& one : approvals)
        all.push_back({{"custodian", one.custodian},
                       {"statement", statement.text(one.custodian)},
                       {"signature", to_hex(one.signature)}});
    return dump({{"kokuin", "approvals"}, {"version", 1}, {"approvals", all}});
}

namespace {

/// What text() wrote for this custodian.
std::optional<Statement> read_statement(const std::string& text, const std::string& custodian) {
    std::map<std::string, std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (const auto colon = line.find(": "); colon != std::string::npos)
            lines.emplace(line.substr(0, colon), line.substr(colon + 2));
    Statement statement{lines["act"],   lines["program"],  lines["ceremony"], 0,
                        lines["token"], lines["settings"], lines["content"],  lines["nonce"]};
    const std::string& generation = lines["generation"];
    const char* end = generation.data() + generation.size();
    if (std::from_chars(generation.data(), end, statement.generation).ptr != end) return std::nullopt;
    if (statement.text(custodian) != text) return std::nullopt;
    return statement;
}

}  // namespace

Result<Statement> agreed(std::string_view approvals, const Roster& roster) {
    const auto json = parse_ordered_json(approvals);
    Members members(json);
    const bool right_kind = members.text("kokuin") == "approvals" && members.number("version", 1) == 1;
    const Json& all = members.object("approvals");
    if (!right_kind || !members.ok()) return Error::no("these are no approvals");
    std::optional<Statement> one;
    std::set<std::string> custodians;
    for (const Json& entry : all) {
        Members approval(entry);
        const Approval given{approval.text("custodian"), approval.octets("signature", 64)};
        const auto statement = read_statement(approval.text("statement"), given.custodian);
        if (!approval.ok() || !statement) return Error::no("one of the approvals can't be read");
        if (one && *one != *statement) return Error::no("the approvals aren't of one thing");
        one = statement;
        if (auto done = check(*statement, given, roster); !done) return std::move(done).error();
        custodians.insert(given.custodian);
    }
    if (custodians.size() < roster.threshold || !one)
        return Error::no("it takes " + roster.text() + ", and " + std::to_string(custodians.size()) +
                         " approved");
    if (one->ceremony != roster.ceremony || one->generation != roster.generation ||
        one->token != roster.token)
        return Error::no("it was approved by custodians of another ceremony or generation");
    return *one;
}

}  // namespace kokuin::hsm::custody
