"""Studies: many runs by design, none of them lost, and what they say.

From a question to a number: a study (:mod:`definition`, :mod:`files`) has a design (:mod:`design`) of
scenarios; scenario x arm x replicate are runs with an id each (:mod:`plan`); the driver (:mod:`driver`) has
an engine make them as jobs (:mod:`jobs`), and keeps them in a store (:mod:`store`); results
(:mod:`results`) are tidy tables, which the analyses (:mod:`analyses`) turn into answers.
"""
