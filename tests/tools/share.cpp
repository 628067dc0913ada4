// kokuin-share STEM…: what the custodians together know, in hexadecimal, for tests that look for it where it must not
// be. Opens each STEM.share with STEM.passphrase; prints each share of the user's PIN and of the officer's, then both
// PINs as texts.
#include <cstdio>
#include <iostream>

#include "base/file.h"
#include "hsm/custody/share.h"

using namespace kokuin;
using namespace kokuin::hsm;

int main(int argc, char** argv) {
    std::vector<custody::OpenShare> shares;
    for (int i = 1; i < argc; ++i) {
        const std::string stem = argv[i];
        const auto text = read_file(stem + ".share");
        auto file = text ? custody::ShareFile::from_json(as_text(*text)) : text.error();
        const auto passphrase = read_secret_file(stem + ".passphrase");
        auto share = file && passphrase ? custody::open_share_file(std::move(*file), passphrase->view())
                                        : (file ? passphrase.error() : file.error());
        if (!share) {
            std::cerr << stem << ": " << share.error().text << '\n';
            return 2;
        }
        std::cout << to_hex(share->share.pin.view()) << '\n' << to_hex(share->share.officer.view()) << '\n';
        shares.push_back(std::move(*share));
    }
    std::vector<View> pins;
    std::vector<View> officers;
    for (const auto& one : shares) {
        pins.push_back(one.share.pin.view());
        officers.push_back(one.share.officer.view());
    }
    for (const auto& all : {pins, officers}) {
        const auto pin = custody::combine(all);
        if (!pin) {
            std::cerr << pin.error().text << '\n';
            return 1;
        }
        std::cout << as_text(pin->view()) << '\n';
    }
    return 0;
}
