"""Money in integer minor units, by the number of decimals that ISO 4217 gives a currency (units of account aside)."""

_EXPONENTS: dict[str, int] = {
    **dict.fromkeys(
        (
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
            "XOF", "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}  # fmt: skip
_SCALES = (1, 10, 100, 1_000)


def exponent(currency: str) -> int:
    """Decimals of a currency by its ISO code in capitals; 2 where the code is unknown or empty."""
    return _EXPONENTS.get(currency, 2)


def currency_code(sent: str | None) -> str:
    """An ISO code in capitals; empty where what was sent could not be one."""
    code = (sent or "").upper()
    return code if len(code) == 3 and code.isascii() and code.isalpha() else ""


def minor(amount: float, currency: str) -> int:
    """An amount in the major unit as integer minor units, rounded half to even."""
    return round(amount * _SCALES[exponent(currency)])
