// kokuin-compare: holds an archive against what a client received (kokuin-load --save): every token must be
// there byte for byte, and no serial number may stand in the archive twice; with --anchors every token must
// also verify, up to one of them. Prints one line of JSON; exit 0 when all is well.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "store/reader.h"
#include "tests/tools/saved.h"
#include "tsa/protocol/verify.h"

namespace {
// Octets as a key; gcc 12 warns wrongly when it compares vectors.
std::string text(const std::vector<unsigned char>& octets) {
    return {octets.begin(), octets.end()};
}
}  // namespace

int main(int argc, char** argv) {
    using namespace kokuin;
    std::string archive, saved, anchors, certificates;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--archive") == 0) archive = argv[i + 1];
        if (std::strcmp(argv[i], "--saved") == 0) saved = argv[i + 1];
        if (std::strcmp(argv[i], "--anchors") == 0) anchors = argv[i + 1];
        if (std::strcmp(argv[i], "--certificates") == 0) certificates = argv[i + 1];
    }
    if (archive.empty() || saved.empty()) {
        std::fputs("kokuin-compare --archive DIR --saved FILE [--anchors FILE --certificates FILE]\n",
                   stderr);
        return 2;
    }
    tsp::Expectations expected;
    for (const auto& [path, into] :
         {std::pair(&anchors, &expected.anchors), std::pair(&certificates, &expected.more_certificates)}) {
        if (path->empty()) continue;
        auto read = pki::load_certificates(*path);
        if (!read) {
            std::fprintf(stderr, "kokuin-compare: %s\n", read.error().text.c_str());
            return 3;
        }
        *into = std::move(*read);
    }
    auto reader = store::ArchiveReader::open(archive);
    if (!reader) {
        std::fprintf(stderr, "kokuin-compare: %s\n", reader.error().text.c_str());
        return 3;
    }
    // What the archive says: serials by imprint (a load's imprints are random, so they name one request
    // each).
    std::map<std::string, std::vector<Bytes>> serials_of;
    std::set<std::string> serials;
    std::size_t issued = 0, repeated = 0;
    const auto done = (*reader)->find({}, [&](const store::Found& found) {
        const auto& issuance = found.issuance();
        ++issued;
        if (!serials.insert(text(issuance.serial)).second) ++repeated;
        serials_of[text(issuance.imprint)].push_back(issuance.serial);
        return true;
    });
    if (!done) {
        std::fprintf(stderr, "kokuin-compare: %s\n", done.error().text.c_str());
        return 3;
    }
    std::size_t tokens = 0, missing = 0, different = 0, unverified = 0;
    std::ifstream file(saved, std::ios::binary);
    for (load::Record record; load::read_record(file, record);) {
        if (record.kind != 0) continue;
        ++tokens;
        if (!anchors.empty()) {
            const auto token = tsp::parse_token(record.body);
            expected.imprint = Bytes(record.imprint.begin(), record.imprint.end());
            if (!token || !tsp::verify(*token, expected).ok()) ++unverified;
        }
        const auto at = serials_of.find(text(record.imprint));
        if (at == serials_of.end()) {
            ++missing;
            continue;
        }
        bool same = false;
        for (const Bytes& serial : at->second) {
            const auto shown = (*reader)->show(serial);
            if (!shown) std::fprintf(stderr, "kokuin-compare: %s\n", shown.error().text.c_str());
            same = same || (shown && std::equal(shown->token.begin(), shown->token.end(), record.body.begin(),
                                                record.body.end()));
        }
        if (!same) ++different;
    }
    std::printf(
        "{\"tokens\": %zu, \"issued\": %zu, \"missing\": %zu, \"different\": %zu, \"repeated\": %zu, "
        "\"unverified\": %zu}\n",
        tokens, issued, missing, different, repeated, unverified);
    return missing + different + repeated + unverified == 0 ? 0 : 1;
}
