"""Texts that an encoder is calibrated and checked on when it is built: short and long, plain and odd."""

CALIBRATION_TEXTS = (
    "transfer 250 dollars to my landlord by Friday",
    "Why was my card declined at the supermarket yesterday evening?",
    "thanks",
    "Book two seats from Madrid to Oslo on the 14th of June, one aisle and one window if possible",
    "turn off the lights in the kitchen and set the heating to 19 degrees",
    "I was charged twice for the same hotel room; who do I have to talk to?",
    "play the new album by the band we listened to last night",
    "WHERE IS MY PARCEL??? tracking no. 00340-434161",
    "could you tell me whether the clinic on Harbour Street is open on public holidays and whether I need a referral",
    "la reunión es mañana a las 10h, 会議は東京で",
)
"""What the channels of an encoder are measured on."""

CHECK_TEXTS = (
    "move 40 euros from my checking account to savings",
    "Is flight BA117 to New York on time?",
    "hello",
    "I'd like to reschedule my appointment with Dr. Meier from Tuesday 9:30 to any afternoon next week, please.",
    "what's the weather going to be like in São Paulo tomorrow morning",
    "cancel my order #4418-B, it still has not shipped after 12 days!!!",
    (
        "the invoice that you sent us in March lists two items that we never bought, and the total does not match the "
        "amount that was taken from our account, so please check both, send a corrected invoice to our office in "
        "Leeds and tell me when the difference will be paid back"
    ),
)
"""What an int8 graph is compared with float32 on; none of them is calibrated on."""
