#include "hsm/locator.h"

#include <p11-kit/uri.h>

#include <vector>

namespace kokuin::hsm {

void Locator::FreeUri::operator()(p11_kit_uri* uri) const {
    p11_kit_uri_free(uri);
}

Result<Locator> Locator::parse(const std::string& text) {
    Locator locator;
    locator.text_ = text;
    if (text.empty()) return Error::usage("no token is named; give its label or a pkcs11: URI");
    if (text.rfind("pkcs11:", 0) != 0) {
        if (text.size() > sizeof(CK_TOKEN_INFO::label))
            return Error::usage("token '" + text + "': a label has at most 32 octets");
        return locator;
    }
    locator.uri_.reset(p11_kit_uri_new());
    // The text is not repeated where it may hold a PIN.
    const auto kinds = static_cast<P11KitUriType>(P11_KIT_URI_FOR_TOKEN | P11_KIT_URI_FOR_SLOT);
    const int outcome = p11_kit_uri_parse(text.c_str(), kinds, locator.uri_.get());
    if (outcome != P11_KIT_URI_OK)
        return Error::usage(std::string("the token's pkcs11: URI is malformed: ") +
                            p11_kit_uri_message(outcome) + "; RFC 7512 has the syntax");
    if (p11_kit_uri_get_pin_value(locator.uri_.get()) || p11_kit_uri_get_pin_source(locator.uri_.get()))
        return Error::usage(
            "the token's pkcs11: URI holds a PIN; take it out and give the PIN in its own setting");
    if (p11_kit_uri_any_unrecognized(locator.uri_.get()))
        return Error::usage(
            "token '" + text +
            "': the URI has an attribute that is not known; use token, serial, manufacturer, model, "
            "slot-id, slot-description, slot-manufacturer");
    return locator;
}

Result<FoundToken> Locator::find(const ModuleCall& call) const {
    // The list may grow between the two calls.
    std::vector<CK_SLOT_ID> slots;
    CK_RV rv = CKR_BUFFER_TOO_SMALL;
    for (int attempt = 0; attempt < 5 && rv == CKR_BUFFER_TOO_SMALL; ++attempt) {
        CK_ULONG count = 0;
        rv = call->C_GetSlotList(CK_TRUE, nullptr, &count);
        if (rv != CKR_OK) break;
        slots.resize(count);
        if (count > 0) rv = call->C_GetSlotList(CK_TRUE, slots.data(), &count);
        if (rv == CKR_OK) slots.resize(count);
    }
    if (rv != CKR_OK) return failure(rv, "token '" + text_ + "': listing the slots");

    std::vector<FoundToken> fitting;
    std::string others;
    for (const CK_SLOT_ID slot : slots) {
        CK_TOKEN_INFO info{};
        if (call->C_GetTokenInfo(slot, &info) != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED)) continue;
        FoundToken token{slot, field_text(info.label, sizeof info.label),
                         field_text(info.serialNumber, sizeof info.serialNumber), info.flags};
        bool fits = token.label == text_;
        if (uri_) {
            const CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri_.get());
            CK_SLOT_INFO place{};
            fits = (wanted == static_cast<CK_SLOT_ID>(-1) || wanted == slot) &&
                   p11_kit_uri_match_token_info(uri_.get(), &info) &&
                   call->C_GetSlotInfo(slot, &place) == CKR_OK &&
                   p11_kit_uri_match_slot_info(uri_.get(), &place);
        }
        if (fits)
            fitting.push_back(std::move(token));
        else
            others += (others.empty() ? "'" : ", '") + token.label + "'";
    }
    if (fitting.empty())
        return Error::environment(
            "token '" + text_ + "': not found; " +
            (others.empty() ? "the module shows no initialised token" : "the module shows " + others) +
            "; connect the HSM or correct the name");
    if (fitting.size() > 1) {
        std::string serials;
        for (const FoundToken& token : fitting)
            serials +=
                (serials.empty() ? "" : ", ") + token.serial + " in slot " + std::to_string(token.slot);
        return Error::usage("token '" + text_ + "': several fit (serial numbers " + serials +
                            "); name one by URI: pkcs11:serial=..., or pkcs11:slot-id=... where the "
                            "numbers are the same");
    }
    return fitting.front();
}

}  // namespace kokuin::hsm
