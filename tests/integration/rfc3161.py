"""RFC 3161 as the tests' own client sees it: DER written and read by hand, nothing shared with the server."""
import datetime
import os

HASHES = {
    'sha1': ('1.3.14.3.2.26', 20),
    'sha256': ('2.16.840.1.101.3.4.2.1', 32),
    'sha384': ('2.16.840.1.101.3.4.2.2', 48),
    'sha512': ('2.16.840.1.101.3.4.2.3', 64),
}
FAIL_INFO = {0: 'badAlg', 2: 'badRequest', 5: 'badDataFormat', 14: 'timeNotAvailable', 15: 'unacceptedPolicy',
             16: 'unacceptedExtension', 17: 'addInfoNotAvailable', 25: 'systemFailure'}


class Malformed(Exception):
    pass


# ---- DER ------------------------------------------------------------------------------------------------------------

def tlv(tag, content):
    n = len(content)
    if n < 0x80:
        return bytes([tag, n]) + content
    length = n.to_bytes((n.bit_length() + 7) // 8, 'big')
    return bytes([tag, 0x80 | len(length)]) + length + content


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, 'big', signed=True))


def oid(text):
    first, second, *rest = map(int, text.split('.'))
    out = b''
    for arc in [first * 40 + second, *rest]:
        octets = [arc & 0x7f]
        while arc := arc >> 7:
            octets.append(0x80 | arc & 0x7f)
        out += bytes(reversed(octets))
    return tlv(6, out)


def oid_text(content):
    arcs, arc = [], 0
    for octet in content:
        arc = arc << 7 | octet & 0x7f
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return '.'.join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


class Element:
    def __init__(self, tag, content, whole):
        self.tag, self.content, self.whole = tag, content, whole

    def children(self):
        return elements(self.content)


def elements(octets):
    """All elements that `octets` consist of; Malformed when they don't (definite, minimal lengths only)."""
    out, at = [], 0
    while at < len(octets):
        if at + 2 > len(octets):
            raise Malformed('cut off')
        tag, length, head = octets[at], octets[at + 1], 2
        if length == 0x80 or length > 0x84:
            raise Malformed('indefinite or huge length')
        if length > 0x80:
            count = length & 0x7f
            length = int.from_bytes(octets[at + 2:at + 2 + count], 'big')
            head += count
            if length < 0x80 or length >> 8 * (count - 1) == 0:
                raise Malformed('length not minimal')
        if at + head + length > len(octets):
            raise Malformed('longer than what holds it')
        out.append(Element(tag, octets[at + head:at + head + length], octets[at:at + head + length]))
        at += head + length
    return out


def only(octets, tag):
    found = elements(octets)
    if len(found) != 1 or found[0].tag != tag:
        raise Malformed(f'expected one element of tag {tag:#x}')
    return found[0]


# ---- request ----------------------------------------------------------------------------------------------------------

def query(imprint=None, hash='sha256', nonce=None, policy=None, cert=True, nonce_octets=None, extensions=b''):
    """A TimeStampReq; nonce_octets gives the INTEGER's content octets as they are."""
    algorithm, size = HASHES[hash]
    if imprint is None:
        imprint = os.urandom(size)
    body = integer(1) + tlv(0x30, tlv(0x30, oid(algorithm) + tlv(5, b'')) + tlv(4, imprint))
    if policy:
        body += oid(policy)
    if nonce_octets is not None:
        body += tlv(2, nonce_octets)
    elif nonce is not None:
        body += integer(nonce)
    if cert:
        body += tlv(1, b'\xff')
    return tlv(0x30, body + extensions)


# ---- response ----------------------------------------------------------------------------------------------------------

class Response:
    """A TimeStampResp. status; fail (name of the one failInfo bit) or token (DER) and tst (the TstInfo)."""

    def __init__(self, octets):
        parts = only(octets, 0x30).children()
        if not parts or parts[0].tag != 0x30:
            raise Malformed('no PKIStatusInfo')
        info = parts[0].children()
        if not info or info[0].tag != 2:
            raise Malformed('no status')
        self.status = int.from_bytes(info[0].content, 'big', signed=True)
        self.fail = self.token = self.tst = None
        self.text = None
        for element in info[1:]:
            if element.tag == 0x30:
                self.text = ' '.join(e.content.decode() for e in element.children())
            elif element.tag == 3:
                self.fail = self._bits(element.content)
            else:
                raise Malformed('unknown element in PKIStatusInfo')
        if self.status in (0, 1):
            if len(parts) != 2 or self.fail is not None:
                raise Malformed('granted, but without a token or with failInfo')
            self.token = parts[1].whole
            self.tst = TstInfo(self.token)
        elif len(parts) != 1:
            raise Malformed('refused, but with a token')

    @staticmethod
    def _bits(content):
        unused, octets = content[0], content[1:]
        bits = [i * 8 + b for i, octet in enumerate(octets) for b in range(8) if octet & 0x80 >> b]
        # A named bit list in DER has no trailing zero bits (X.690 11.2.2).
        if len(bits) != 1 or len(octets) != bits[0] // 8 + 1 or unused != 7 - bits[0] % 8:
            raise Malformed(f'failInfo {content.hex()} is not one bit as minimal DER')
        return FAIL_INFO[bits[0]]


class TstInfo:
    def __init__(self, token):
        oid_element, explicit = only(token, 0x30).children()
        if oid_text(oid_element.content) != '1.2.840.113549.1.7.2':
            raise Malformed('not SignedData')
        signed_data = only(explicit.content, 0x30).children()
        self.cms_version = signed_data[0].content[0]
        encapsulated = signed_data[2].children()
        self.der = only(encapsulated[1].content, 4).content
        self.certificates = signed_data[3] if signed_data[3].tag == 0xa0 else None
        version, policy, imprint, serial, gen_time, *rest = only(self.der, 0x30).children()
        self.policy = oid_text(policy.content)
        self.imprint = imprint.children()[1].content
        self.imprint_algorithm = oid_text(imprint.children()[0].children()[0].content)
        self.serial = serial.content.lstrip(b'\0').hex()
        self.serial_octets = serial.content
        if gen_time.tag != 0x18 or version.content != b'\x01':
            raise Malformed('TSTInfo')
        self.gen_time_text = gen_time.content.decode()
        self.gen_time_ns = generalized_ns(self.gen_time_text)
        self.nonce = self.accuracy = self.tsa = None
        for element in rest:
            if element.tag == 2:
                self.nonce = element.content
            elif element.tag == 0x30:
                self.accuracy = element.content
            elif element.tag == 0xa0:
                self.tsa = element.content


def generalized_ns(text):
    """GeneralizedTime as RFC 3161 wants it, in nanoseconds since 1970."""
    if not text.endswith('Z'):
        raise Malformed('genTime ' + text)
    whole, _, fraction = text[:-1].partition('.')
    if fraction.endswith('0') or ('.' in text and not fraction):
        raise Malformed('genTime with trailing zeros: ' + text)
    at = datetime.datetime.strptime(whole, '%Y%m%d%H%M%S').replace(tzinfo=datetime.timezone.utc)
    return int(at.timestamp()) * 10**9 + int((fraction or '0').ljust(9, '0'))
