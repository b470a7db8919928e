"""The names in the house that is fuzzed; they know neither Django nor schemathesis."""

OWN, OTHER, GONE = "LHR-01", "KHI-02", "GONE-03"
# In what a store says of itself; whoever may not see that store may not see it.
MARKS = {OWN: "qLhr7Own", OTHER: "qKhi7Foreign"}
# Which marks a caller may not be shown.
HIDDEN = {
    "anonymous": (OWN, OTHER),
    "device": (OTHER,),
    "other_store": (OWN,),
    "head_office": (),
    "head_office_session": (),
    "store_session": (OTHER,),
}
ROLES = tuple(HIDDEN)
# Whose key says which store is meant.
OF_ONE_STORE = ("device", "other_store")
