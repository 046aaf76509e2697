// Written by scripts/fit_math_coefficients.py; do not edit.
#pragma once

namespace tenon::math {

/// exp(r) = 1 + r + r^2 p(r), |r| <= ln2 / 2.
inline constexpr double kExpF32[] = {
    // error 2^-28.182
    0x1.fffffc0000000p-2, 0x1.55548e0000000p-3,  0x1.5558a60000000p-5,
    0x1.123bd80000000p-7, 0x1.6a59080000000p-10,
};
inline constexpr double kExpF64[] = {
    // error 2^-57.891
    0x1.000000000000ap-1,  0x1.5555555555508p-3,  0x1.55555555506cep-5,  0x1.11111111248cfp-7,
    0x1.6c16c18472386p-10, 0x1.a01a013a48651p-13, 0x1.a019996bcdc84p-16, 0x1.71df03e581e2ep-19,
    0x1.28adf2048c02dp-22, 0x1.adb1bd0869688p-26,
};

/// 2^f = 1 + f p(f), |f| <= 1/2.
inline constexpr double kExp2F32[] = {
    // error 2^-28.037
    0x1.62e4300000000p-1, 0x1.ebfbd80000000p-3,  0x1.c6af760000000p-5,
    0x1.3b30a60000000p-7, 0x1.5f0b960000000p-10, 0x1.3f9c020000000p-13,
};
inline constexpr double kExp2F64[] = {
    // error 2^-59.476
    0x1.62e42fefa39efp-1,  0x1.ebfbdff82c58ep-3,  0x1.c6b08d704a185p-5,  0x1.3b2ab6fba50fep-7,
    0x1.5d87fe7888376p-10, 0x1.430912f7a9fafp-13, 0x1.ffcbfcde4e7f6p-17, 0x1.62c025602a4d4p-20,
    0x1.b5241ca65acd1p-24, 0x1.e4c381bff57dep-28, 0x1.eb072bb74aba6p-32, 0x1.d483ccf8fd927p-36,
};

/// log(1 + f) = f + f^2 (-1/2 + f p(f)), 1 + f in [sqrt(1/2), sqrt 2].
inline constexpr double kLogF32[] = {
    // error 2^-27.173
    0x1.55554a0000000p-2, -0x1.0002340000000p-2, 0x1.99a4880000000p-3, -0x1.54726a0000000p-3,
    0x1.228b880000000p-3, -0x1.0d3c100000000p-3, 0x1.070f6e0000000p-3, -0x1.3e03fe0000000p-4,
};
inline constexpr double kLogF64[] = {
    // error 2^-61.631
    0x1.5555555555557p-2, -0x1.0000000000044p-2, 0x1.9999999999292p-3, -0x1.555555554abc0p-3,
    0x1.24924924d35b7p-3, -0x1.0000000508e96p-3, 0x1.c71c71a7f7abfp-4, -0x1.9999971dc274fp-4,
    0x1.745d1a530e218p-4, -0x1.5555b0cb122b3p-4, 0x1.3b13b8e5cec13p-4, -0x1.248a49ec642f4p-4,
    0x1.110839135e011p-4, -0x1.006b6217f43c4p-4, 0x1.e3954daee6febp-5, -0x1.c0fee774c4839p-5,
    0x1.9bb055a9544cap-5, -0x1.a8678e8a5612fp-5, 0x1.eff031ee582e3p-5, -0x1.bcdb1d0a1f8d5p-5,
    0x1.73085ad786c7cp-6,
};

/// log(1 + e) = e + e^2 p(e), e in [0, 1].
inline constexpr double kLog1pF32[] = {
    // error 2^-27.498
    -0x1.ffffd20000000p-2, 0x1.554dd00000000p-2,  -0x1.ff23e60000000p-3,
    0x1.934b540000000p-3,  -0x1.3a435e0000000p-3, 0x1.b4ae080000000p-4,
    -0x1.d6b08c0000000p-5, 0x1.4917ce0000000p-6,  -0x1.af49ce0000000p-9,
};
inline constexpr double kLog1pF64[] = {
    // error 2^-56.552
    -0x1.fffffffffff9fp-2, 0x1.5555555551051p-2,  -0x1.fffffffdd49bcp-3,  0x1.99999951f9f74p-3,
    -0x1.55554fbe534f1p-3, 0x1.2491fed90eb7fp-3,  -0x1.fffa8bc476c6ep-4,  0x1.c6f6a7fb206fep-4,
    -0x1.98d295ab36c9dp-4, 0x1.712df2affc44dp-4,  -0x1.4b021808ec730p-4,  0x1.202de1579f493p-4,
    -0x1.d71122855758dp-5, 0x1.5a88f0c8a6b06p-5,  -0x1.b632141346a99p-6,  0x1.c57e6400c7429p-7,
    -0x1.6b4dc9548a27ep-8, 0x1.a25b1f4e9f5e9p-10, -0x1.31f81b1638747p-12, 0x1.a90562abbf47cp-16,
};

/// sin r = r + r^3 p(r^2), |r| <= pi / 4.
inline constexpr double kSinF32[] = {
    // error 2^-28.015
    -0x1.5555460000000p-3,
    0x1.11077c0000000p-7,
    -0x1.9955b60000000p-13,
};
inline constexpr double kSinF64[] = {
    // error 2^-58.007
    -0x1.5555555555549p-3, 0x1.111111110f8a4p-7,   -0x1.a01a019c15b37p-13,
    0x1.71de357aabdf3p-19, -0x1.ae5e6839519a4p-26, 0x1.5d9383ad1e4b7p-33,
};

/// cos r = 1 - r^2 / 2 + r^4 p(r^2), |r| <= pi / 4.
inline constexpr double kCosF32[] = {
    // error 2^-33.133
    0x1.55554a0000000p-5,
    -0x1.6c0c1a0000000p-10,
    0x1.99e0ee0000000p-16,
};
inline constexpr double kCosF64[] = {
    // error 2^-64.184
    0x1.555555555554cp-5,   -0x1.6c16c16c1521dp-10, 0x1.a01a019cbf0d7p-16,
    -0x1.27e4f81265635p-22, 0x1.1ee9f110a1647p-29,  -0x1.8fb10a0f48b15p-37,
};

/// erf x = x + x p(x^2), |x| <= 1.
inline constexpr double kErfF32[] = {
    // error 2^-29.55
    0x1.06eba80000000p-3, -0x1.8127400000000p-2,  0x1.ce2d500000000p-4,  -0x1.b7fe900000000p-6,
    0x1.542e100000000p-8, -0x1.a50b0e0000000p-11, 0x1.4c344e0000000p-14,
};
inline constexpr double kErfF64[] = {
    // error 2^-56.159
    0x1.06eba8214db69p-3,  -0x1.812746b037a27p-2,  0x1.ce2f21a045b8fp-4,  -0x1.b82ce3136657ap-6,
    0x1.565bcd2faa15ep-8,  -0x1.c02db9e1c5168p-11, 0x1.f9a3cf926b46cp-14, -0x1.f4dec3c3de24dp-17,
    0x1.ba822480cad7ep-20, -0x1.6471b5c4f803fp-23, 0x1.18150debb4bc2p-26, -0x1.e497a76fe21eep-30,
    0x1.6832bf2a448c5p-33,
};

/// erfc x = 2^-(x p(x - 2)), 1 <= x <= 3.95.
inline constexpr double kErfcLog2F32[] = {
    // error 2^-29.861
    0x1.ef5bbc0000000p+1,  0x1.4085640000000p+0,   0x1.4a5f520000000p-5,  -0x1.0f4f380000000p-7,
    0x1.9c19860000000p-10, -0x1.16bb740000000p-12, 0x1.3c1c8c0000000p-16,
};

/// exp(a^2 / 2) Phi(-a) = v p(v - kTailCenterF32), v = 1 / (a + 4).
inline constexpr double kTailCenterF32 = 0x1.c180000000000p-4;
inline constexpr double kTailF32[] = {
    // error 2^-27.774
    0x1.5f7fc60000000p-1,   0x1.0ae64e0000000p+2,  0x1.4bdc760000000p+4,   0x1.4421f60000000p+6,
    0x1.c38c6e0000000p+7,   0x1.39e7ca0000000p+8,  -0x1.0e5aca0000000p+9,  -0x1.b7dd8a0000000p+11,
    -0x1.786e740000000p+10, 0x1.17aff00000000p+15, -0x1.69b9180000000p+15,
};

/// exp(a^2 / 2) Phi(-a) = v p(v - kTailCenterF64), v = 1 / (a + 4).
inline constexpr double kTailCenterF64 = 0x1.d280000000000p-4;
inline constexpr double kTailF64[] = {
    // error 2^-58.811
    0x1.688c04ad78ee5p-1,   0x1.1630cba671cdfp+2,  0x1.5c61a5d3f350ep+4,   0x1.53571bd9442b1p+6,
    0x1.d046fb0a67512p+7,   0x1.2ae6304b944b0p+8,  -0x1.41083f641943dp+9,  -0x1.b348ba822e130p+11,
    -0x1.939f8db89e067p+9,  0x1.c883bff41b627p+14, 0x1.092bde6e0b397p+15,  -0x1.0e0f870744724p+18,
    -0x1.a1b318af79c03p+18, 0x1.83a518887f102p+21, 0x1.e36dfd4ae9ce9p+21,  -0x1.4161be5a2f4d8p+25,
    -0x1.b026776cb49fdp+23, 0x1.1407e8b317c3cp+29, -0x1.1af6f76af3554p+29, -0x1.9a1539bb829f8p+32,
    0x1.2b74d34232c5fp+34,  0x1.2a2a704edc736p+35, -0x1.092f68c42d1d8p+38, 0x1.7bafe8f0c3841p+38,
};

/// log2(1 + f) = f p(f), in float64, for float32 pow.
inline constexpr double kPowLog2Wide[] = {
    // error 2^-35.654
    0x1.71547652a1e99p+0, -0x1.7154765735411p-1, 0x1.ec709eadd9666p-2, -0x1.71546f400965bp-2,
    0x1.2776572e1cc1cp-2, -0x1.ec735471f5d2cp-3, 0x1.a63e3c701e6e8p-3, -0x1.7131f723be9efp-3,
    0x1.452d145f2d17ep-3, -0x1.25dc305391103p-3, 0x1.28ea075638776p-3, -0x1.21be0d9402c45p-3,
    0x1.3557f53a66a4bp-4,
};

/// log2((1 + s) / (1 - s)) = (2 s + 2/3 s^3 + 2/5 s^5) / ln2 + s^7 p(s^2), for float64 pow.
inline constexpr double kPowAtanhF64[] = {
    // error 2^-63.966
    0x1.a61762a7953cfp-2, 0x1.484b13fc73962p-2, 0x1.0c9a6f5c80559p-2,
    0x1.c69bbc9e44092p-3, 0x1.880310c762f67p-3, 0x1.831f29395b2cbp-3,
};

}  // namespace tenon::math
