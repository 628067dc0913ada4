#include "hsm/custody/statement.h"

#include "base/text.h"
#include "hsm/custody/json.h"

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

}  // namespace kokuin::hsm::custody
