"""Texts with and without secrets and personal data, written for the tests of `Redactor`.

Each is a text and what is to be found in it, as (kind, the very characters). The tokens are made
up; those that scanners of repositories would take for live ones are put together at import.
"""

from __future__ import annotations

from typing import Final

__all__ = ["EXAMPLES"]

Example = tuple[str, tuple[tuple[str, str], ...]]

AWS: Final = "AK" + "IAIOSFODNN7EXAMPLE"
GITHUB: Final = "gh" + "p_16C7e42F292c6912E7710c838347Ae178B4a"
GITHUB_FINE: Final = (
    "github" + "_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVW"
)
GITLAB: Final = "gl" + "pat-x7Kq2mPz9RtVbN4wLsYc"
SLACK: Final = "xo" + "xb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
SLACK_HOOK: Final = "https://hooks.sl" + "ack.com/services/T00000000/B00000001/XXXX1234XXXX5678"
STRIPE: Final = "sk" + "_live_4eC39HqLyjWDarjtT1zdp7dc"
STRIPE_TEST: Final = "sk" + "_test_4eC39HqLyjWDarjtT1zdp7dc"
OPENAI: Final = "sk" + "-proj-Ab12Cd34Ef56Gh78Ij90Kl12Mn34Op56Qr78St90"
OPENAI_OLD: Final = "sk" + "-abcd1234efgh5678ijklT3BlbkFJmnop9012qrst3456uvwx"
ANTHROPIC: Final = "sk" + "-ant-api03-aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5z"
GOOGLE: Final = "AI" + "zaSyD4f8G2h6J1k3L5m7N9p0Q2r4S6t8U0v2W"
HUGGING: Final = "hf" + "_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"
SENDGRID: Final = "SG" + ".ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf-09kqeF8tAmbihYzrnopKc-1s5cr"
NPM: Final = "np" + "m_aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2"
PYPI: Final = "py" + "pi-AgEIcHlwaS5vcmc" + "CJDQ3ZjA1" * 9
TWILIO: Final = "S" + "Kabcdef0123456789abcdef0123456789"
TELEGRAM: Final = "11020" + "1543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1"
JWT: Final = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkFkYSJ9"
    ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
PEM: Final = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1\nzYq8+/==\n-----END RSA PRIVATE KEY-----"
)
PEM_EC: Final = "-----BEGIN EC PRIV" + "ATE KEY-----\nMHcCAQEEIIq\n-----END EC PRIVATE KEY-----"
PEM_CUT: Final = "-----BEGIN PRIV" + "ATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF"
PGP: Final = (
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"
)


def _with(kind: str, value: str, *texts: str) -> list[Example]:
    return [(text.replace("%", value), ((kind, value),)) for text in texts]


POSITIVE: Final[list[Example]] = [
    *_with("email", "ada@example.com", "Write to %.", "<%> wrote:", "my mail (%) changed", "%"),
    *_with("email", "ada.lovelace+news@mail.example.co.uk", "Sign me up: %", "mailto:%?subject=hi"),
    *_with("email", "jürgen@müller.de", "Schreib an %, bitte."),
    *_with("email", "o_brien-99@sub.domain.example", "it is %; thanks", '{"email": "%"}'),
    *_with("email", "x@y.io", "reach me at % tomorrow"),
    *_with("phone", "+1 415 555 2671", "Call % after six", "My number: %.", "tel %, any time"),
    *_with("phone", "+14155552671", "WhatsApp me on %", "(%)"),
    *_with("phone", "+44 20 7946 0958", "the London office is %"),
    *_with("phone", "+49 30 901820", "Berlin: %"),
    *_with("phone", "+33 1 42 68 53 00", "Paris % ask for Marie"),
    *_with("phone", "+91 98765 43210", "my mobile is %"),
    *_with("phone", "(212) 736-5000", "the hotel is % downtown", "Penn: %"),
    *_with("phone", "212-736-5000", "dial % and hold", "% is the desk"),
    *_with("phone", "212.736.5000", "fax %"),
    *_with("phone", "2127365000", "call me at %", "my phone number is %"),
    *_with("phone", "+351 912 345 678", "Lisbon mobile %, Sunday only"),
    *_with("card", "4111 1111 1111 1111", "my card is % exp 12/27", "charge %, please"),
    *_with("card", "4111111111111111", "pay with %", "card:%"),
    *_with("card", "5555-5555-5555-4444", "Mastercard % works"),
    *_with("card", "378282246310005", "amex % cvv 1234"),
    *_with("card", "3782 822463 10005", "the Amex, %, is mine"),
    *_with("card", "6011111111111117", "Discover %"),
    *_with("card", "3530111333300000", "JCB % expired"),
    *_with("card", "2223003122003222", "new Mastercard: %"),
    *_with("card", "30569309025904", "diners %"),
    *_with("iban", "DE89370400440532013000", "IBAN %", "send it to % by Friday"),
    *_with("iban", "DE89 3704 0044 0532 0130 00", "Konto % bei der Bank", "IBAN: %."),
    *_with("iban", "GB82 WEST 1234 5698 7654 32", "my account is % from now on"),
    *_with("iban", "GB82WEST12345698765432", "transfer to %, thanks"),
    *_with("iban", "FR14 2004 1010 0505 0001 3M02 606", "le compte % est ouvert"),
    *_with("iban", "NL91ABNA0417164300", "(%)"),
    *_with("iban", "CH9300762011623852957", "IBAN % Zurich"),
    *_with("iban", "NO9386011117947", "oslo %"),
    *_with("national_id", "536-90-4399", "my SSN is %", "social: %.", "% is on the form"),
    *_with("national_id", "536904399", "ssn %", "Social Security number %"),
    *_with("national_id", "912-70-1234", "the ITIN, %, came by mail"),
    *_with("national_id", "AB123456C", "NI number %", "nino: %"),
    *_with("national_id", "AB 12 34 56 C", "her NINO is %, I think"),
    *_with("national_id", "943 476 5919", "NHS number %"),
    *_with("national_id", "36 574 261 809", "Steuer-ID: %"),
    *_with("national_id", "2 95 10 99 126 111 93", "NIR % sur la carte"),
    *_with("national_id", "54362315K", "DNI %", "mi documento es %"),
    *_with("national_id", "X-2482300W", "NIE %"),
    *_with("national_id", "RCCMNL83S18D969H", "codice fiscale %"),
    *_with("national_id", "44051401359", "PESEL %"),
    *_with("national_id", "390.533.447-05", "CPF %", "meu documento é %"),
    *_with("national_id", "2341 2341 2346", "Aadhaar number %"),
    *_with("national_id", "123 456 782", "my SIN is %"),
    *_with("national_id", "360426199101010071", "身份证 %"),
    *_with("national_id", "111222333", "BSN %"),
    *_with("national_id", "880320-0016", "personnummer %"),
    *_with("national_id", "756.9217.0769.85", "AHV %"),
    *_with("national_id", "131052-308T", "hetu %"),
    *_with("national_id", "971013-9019902", "RRN %"),
    *_with("national_id", "85.07.30-033.28", "rijksregister %"),
    *_with("ip", "203.0.113.42", "ssh to %", "blocked % today", "host=%:8080"),
    *_with("ip", "10.12.0.7", "the printer is at %.", "ping % fails"),
    *_with("ip", "2001:db8:85a3::8a2e:370:7334", "v6 is %", "[%]:443"),
    *_with("ip", "fe80::1", "gateway % on eth0"),
    *_with("url_credentials", "ada:s3cr3t", "postgres://%@db.example.com/app", "https://%@host/x"),
    *_with("url_credentials", ":hunter2", "redis://%@cache:6379/0"),
    *_with("url_credentials", "root:p^40ss", "mongodb+srv://%@cluster0.example.net"),
    *_with("api_key", AWS, "key %", "AWS_ACCESS_KEY_ID=%", "use '%' for s3"),
    *_with("api_key", GITHUB, "git token: %", "I pasted % by mistake"),
    *_with("api_key", GITHUB_FINE, "fine grained % here"),
    *_with("api_key", GITLAB, "the runner has %"),
    *_with("api_key", SLACK, "bot %", "SLACK_TOKEN=%"),
    *_with("api_key", SLACK_HOOK, "post to % please"),
    *_with("api_key", STRIPE, "stripe: %", 'api_key="%"'),
    *_with("api_key", STRIPE_TEST, "the test key % is fine?"),
    *_with("api_key", OPENAI, "OPENAI_API_KEY=%", "my key is %."),
    *_with("api_key", OPENAI_OLD, "old key %"),
    *_with("api_key", ANTHROPIC, "x-api-key: %"),
    *_with("api_key", GOOGLE, "maps?key=%"),
    *_with("api_key", HUGGING, "login with %"),
    *_with("api_key", SENDGRID, "mailer uses %"),
    *_with("api_key", NPM, "publish with %"),
    *_with("api_key", PYPI, "twine: %"),
    *_with("api_key", TWILIO, "sid %"),
    *_with("api_key", TELEGRAM, "my bot is %"),
    *_with("api_key", "mF9.B5f-4.1JqM2xKzP", "Authorization: Bearer %"),
    *_with("jwt", JWT, "Authorization: %", "cookie session=%; path=/", "it says % and fails"),
    *_with("private_key", PEM, "here it is\n%\ndelete it", "%"),
    *_with("private_key", PEM_EC, "%"),
    *_with("private_key", PEM_CUT, "I copied %"),
    *_with("private_key", PGP, "my key:\n%"),
    *_with("password", "hunter2", "my password is %", "password: %.", "pwd=%"),
    *_with("password", "correct-horse-9", 'password = "%"', "the passphrase is %"),
    *_with("password", "swordfish", "password=%", "DB_PASSWORD='%'"),
    *_with("password", "Tr0ub4dor&3", "wifi password: %", "passwd=%"),
    *_with(
        "password", "9f86d081884c7d659a2feaa0c55ad015", "api_key: %", "client_secret=%", "token: %"
    ),
    *_with("password", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1", "aws_secret_access_key = %"),
    *_with("password", "Zx81-Qw72-Lp93", "the access key is %"),
    (
        "ada@example.com, +1 415 555 2671, 4111 1111 1111 1111",
        (
            ("email", "ada@example.com"),
            ("phone", "+1 415 555 2671"),
            ("card", "4111 1111 1111 1111"),
        ),
    ),
    (
        "user=ada@example.com password=hunter2hunter2 host=203.0.113.42",
        (("email", "ada@example.com"), ("password", "hunter2hunter2"), ("ip", "203.0.113.42")),
    ),
]
NEGATIVE: Final[list[Example]] = [
    (text, ())
    for text in (
        *("I moved to Lisbon in May.", "Yes.", "", "Tired and happy. She wants walnut cake."),
        *("@ada said hi", "meet me @ noon", "a@b", "git@github.com:org/repo.git", "3 @ 5 euros"),
        *("use pip install torch@2.1", "follow @ada.lovelace on there", "the @property decorator"),
        *(
            "We met 2024-05-01 at 10:30.",
            "from 1990-2000 he lived there",
            "12/05/2023 to 14/05/2023",
        ),
        *("It cost 1,234,567.89 in 2019", "about 100 000 people came", "pages 120-135, 140-150"),
        *("the order number is 12345678901", "ticket 2127365000 is closed", "invoice 4155552671"),
        *("timestamp 1700000000", "epoch 1700000000000 ms", "build 20240501123000", "id 0042"),
        *(
            "score 21-12 and 15-21",
            "room 101, floor 3",
            "ratio 16:9, 4:3",
            "ISBN 978-3-16-148410-0",
        ),
        *("ISBN 9783161484100", "EAN 4006381333931", "serial 1234-5678-9012", "chapter 1.2.3.4"),
        *(
            "version 1.2.3.4 is out",
            "v10.0.19.1 broke it",
            "upgrade to release 4.4.4.4",
            "1.2.3.4.5",
        ),
        *(
            "256.300.1.1 is no address",
            "localhost is 127.0.0.1",
            "bind 0.0.0.0",
            "use ::1",
            "12:30:45",
        ),
        *("std::vector<int> a::b", "Rust's foo::bar::baz", "16:30:00 UTC", "ff:ff is a pair"),
        *("4111 1111 1111 1112", "1234 5678 9012 3456", "4111111111111112", "5500000000000005"),
        *(
            "0000 0000 0000 0000",
            "my number is 7 and yours 9",
            "order 9999999999999999",
            "6 x 9 = 42",
        ),
        *(
            "DE89370400440532013001",
            "GB00WEST12345698765432",
            "flight LH 1234 to DE",
            "ABCD1234EFGH5678",
        ),
        *(
            "RE12 3456 7890 1234 5678",
            "model XR65 2000 4000 6000",
            "FR is a country code",
            "AT61 rocks",
        ),
        *(
            "000-12-3456",
            "666-45-6789",
            "123-456-789",
            "SSN is asked on page 3",
            "9 digits, no more",
        ),
        *("part no 536-904-399", "12345678A", "A1234567", "RCCMNL83S18D969X", "111.222.333-44"),
        *(
            "call me maybe",
            "phone 5",
            "dial 0",
            "extension 2214",
            "route 66",
            "call 911",
            "text 12345",
        ),
        *(
            "https://example.com/a:b@c",
            "http://host:8080/path",
            "mailto is a scheme",
            "ftp://host/x",
        ),
        *("https://en.wikipedia.org/wiki/Email@", "see docs at http://127.0.0.1:8000/docs"),
        *("I forgot my password.", "password is required", "the password: please change it", "pwd"),
        *("password=None", "password: required", "token=null", "token: the smallest unit of text"),
        *(
            "password = os.environ['PW']",
            "token=${TOKEN}",
            "api_key=<your key>",
            "secret: your-key-here",
        ),
        *(
            "Her secret is baking powder.",
            "the secret: patience",
            "max_tokens=4096",
            "token limit is 128000",
        ),
        *(
            "a token of my love",
            "credentials are needed",
            "access key is under the mat",
            "api_key=test",
        ),
        *("sk-learn is a library", "the sk-fading-circle-animation class", "sk-", "an eyJ prefix"),
        *(
            "AKIA is how they begin",
            "ghp_ is the prefix",
            "xoxb tokens are bots'",
            "hf_hub is a module",
        ),
        *("eyJhbGciOiJIUzI1NiJ9 is its header", "a.b.c", "hello.world.again", "Bearer of bad news"),
        *(
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "BEGIN PRIVATE KEY",
            "-----",
        ),
        *(
            "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
            "ssh-rsa AAAAB3NzaC1yc2E ada@host",
        ),
        *(
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "d41d8cd98f00b204",
        ),
        *(
            "commit 5c3aa40f2b9d",
            "uuid 123e4567-e89b-12d3-a456-426614174000",
            "#ff8800",
            "0xDEADBEEF",
        ),
        *(
            "51.5074, -0.1278",
            "47.3769° N, 8.5417° E",
            "3.14159265358979",
            "1e-10",
            "+1 for that idea",
        ),
        *("He is 1.85 m and 80 kg", "+5 °C, -3 °C", "2 + 2 = 4", "+100 points", "10 - 20 - 30"),
        *(
            "Ada Lovelace lives at 12 Rua Augusta, Lisbon",
            "My sister's name is Signe",
            "born in 1990",
        ),
    )
]
EXAMPLES: Final = (*POSITIVE, *NEGATIVE)
