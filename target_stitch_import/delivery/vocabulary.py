"""The words of foreign responses and errors that may be shown, because they explain errors.

Invariant: services, proxies, TLS and operating systems use these words to explain errors; none of
them can identify a person, a place or a secret.
"""

from __future__ import annotations

WORDS = frozenset(
    """
    a abort aborted about above accept accepted access accessdenied account accounts action activate
    activated active actual add additional address after again all allowed already also altogether
    an and another any api are argument arguments array as assigned associated at attempt
    authenticate authentication authority authorization authorized authorizer available away back
    bad batch be because been before behind being below between bigint binary blob block blocked
    body bool boolean both broke broken buffer but by byte bytes call called can cannot cast
    certificate chain character characters charset check checked chunk cipher client close closed
    code column columns combination comma command complete condition conflict conform connect
    connected connection connections constraint contain contains content continue control convert
    corrupt could count create created credentials currently cut data database date datetime day
    days decimal declared decode default deleted delimiter denied depth deriving deserialize detail
    detected device did different digits directory disabled disk display dns document does done
    double down due duplicate duplicated during each either element empty enabled encoding end ended
    enough entity entry enum eof equal error errors establish exceed exceeded exceeds exception
    exist exists expected expecting expired exponent extra extraneous factor fail failed failure
    false field fields file find first float for forbidden form format formed forward forwarded
    found from full function gateway get give given got gzip had handshake has have header headers
    host hostname hour hours however http https id if illegal import in inactive include includes
    incomplete incorrect index infinity inside instance int integer internal interrupted into
    invalid invalidbody invaliddisplayname invalidid invalidname invalidtype is issuer it item items
    its json jsonarray jsonobject key keys kind known large larger last later latest least left
    length less limit limits line list load loaded local location lock locked long longer lost made
    maintenance malformed many match matched matches matching max maximum may media member members
    memory message messages method millisecond milliseconds min minimum minute minutes mismatch
    missing module more most multiple must name named names nan negative neither nested network
    never new no node non nonexistent nor not null number numbers numeric object objects occurred of
    off offset ok on once one only open operation option or order other our out outside over
    overflow overload overloaded own pair parameter parse parsed parser part partial pass password
    path pattern pause paused payload peer per permission permitted pipe please point points port
    position positive possible post precision present primary problem process processed processing
    properties property protocol proxy push put queue queued quota range rate read reading ready
    reason received record records redirect refused region reject rejected remote remove replace
    request requested requests required reserved reset resolution resolve resource response result
    retries retry retrying root route row rows s same scale schema schemas second seconds section
    security see self send sequence server service session set several shorter should signature
    signed size smaller socket some source specified ssl start state statement status still stopped
    store stream string strings subschema subschemas success such support supported syntax system t
    table tables target temporarily temporary terminated text than that the their them then there
    these this those time timed timeout timestamp tls to today together token tokenlimit too total
    transfer transient transit translate true try tunnel type types unable unauthorized unavailable
    unclosed undefined unexpected unexpectedly unicode unique unit unknown unprocessable unreachable
    unrecognized unsupported until up update upgrade upsert upstream url usage use used user using
    utc utf valid validate validated validation value values verified verify version via violate
    violated violates violation violations was way we were what when where which while whole why
    width will with within without word wrong xml year yet you your zero zone
    """.split()  # noqa: SIM905 - a block of words is easier to review
)
