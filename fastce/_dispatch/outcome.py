"""Why kernels return no result, and what another call tells them; the numbers of arguments.pxd."""

# An argument is not in the form that kernels read; a label or a weight is refused; weights have to
# be scaled; an array lies in a way that no kernel walks.
UNREADABLE, REFUSED, EXTREME, SCATTERED = range(4)
# Python has looked at the outputs; weights are as good as they get; nothing but the sums of the
# items is asked for.
CHECKED, SCALED, SUMS_ONLY = 1, 2, 4
