"""What Niyanta is made of: listed, checked for weaknesses and licences, told with what is built (``make supply``)."""
